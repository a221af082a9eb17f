"""File names that do not meet."""

from pathlib import PurePosixPath


class Names:
    """Gives out file names of one folder, none of them twice, nor in another case."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, name: str) -> str:
        """Return a name that is free: this one, or else ``name-2.suffix`` and so on.

        Args:
            name: may be a path with slashes.
        """
        path, number = PurePosixPath(name), 1
        free = path
        while (key := str(free).casefold()) in self._taken:
            number += 1
            free = path.with_stem(f"{path.stem}-{number}")
        self._taken.add(key)
        return str(free)
