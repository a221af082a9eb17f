"""Text in columns."""

from collections.abc import Collection, Sequence

from tqdm.utils import disp_len


def table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """Return a line for each row, with aligned columns.

    Args:
        rows: cells; the same number in each row.
        right: numbers of the columns that are aligned at their right side.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(disp_len, column)) for column in zip(*cells, strict=True)]
    return ["   ".join(_padded(cell, widths[i], i in right) for i, cell in enumerate(row)).rstrip() for row in cells]


def printable(text: str) -> str:
    """Return a text that keeps to its line: a file name may hold line breaks and codes that control a terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _padded(text: str, width: int, at_right: bool) -> str:
    padding = " " * (width - int(disp_len(text)))
    return padding + text if at_right else text + padding
