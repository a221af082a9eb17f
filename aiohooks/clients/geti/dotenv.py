"""Files of ``NAME=value`` lines, as they are kept beside a program under the name ``.env``."""

import re

_LINE = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)\s*=\s*
    (?: '(?P<literal>[^']*)' | "(?P<escaped>(?:[^"\\]|\\.)*)" | (?P<plain>[^'"\s\#](?:[^\#]|(?<=\S)\#)*)? )
    \s*(?:\#.*)?""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def parse(text: str) -> dict[str, str]:
    r"""Return the values by their names; of a name that comes twice, the last.

    ``#`` begins a comment on a line of its own or after white space. ``'single quotes'`` keep everything; in ``"double
    quotes"`` a backslash escapes, as in ``\"`` and ``\n``. ``${NAME}`` means itself. Every value is on one line.

    Raises:
        ValueError: a line is something else; the message names its number and not its content, which may be secret.
    """
    values = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"line {number} is not NAME=value")
        if (escaped := found["escaped"]) is not None:
            value = re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), escaped)
        else:
            value = found["literal"] or (found["plain"] or "").rstrip()
        values[found["name"]] = value
    return values
