"""A finished chart."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from aiohooks.atomic_file import write_atomically
from aiohooks.errors import SpecError

_VARIABLE = re.compile(r"var\(--[a-z0-9-]+,\s*([^)]+)\)")


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing in SVG; notebooks show it as it is.

    Attributes:
        svg: one ``<svg>`` element. Its colours are CSS variables (``--chart-1`` …, ``--chart-ink``) with a value of their own, so
            that a page may set them for a dark background.
    """

    svg: str

    def _repr_svg_(self) -> str:
        return _VARIABLE.sub(r"\1", self.svg)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, as SVG or PNG by the name's suffix; blocks.

        Raises:
            SpecError: the suffix is another one, or PNG's renderer is not installed: ``pip install "aiohooks[charts]"``.
            OSError: the file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".svg":
            data = self._repr_svg_().encode()
        elif suffix == ".png":
            data = self.png()
        else:
            raise SpecError(f"a chart is saved as .svg or .png, not as {Path(path).name!r}")
        write_atomically(os.fspath(path), data)

    def png(self, *, zoom: float = 2.0) -> bytes:
        """Return it as PNG, on white.

        Args:
            zoom: pixels for each unit of the SVG.

        Raises:
            SpecError: the renderer is not installed: ``pip install "aiohooks[charts]"``.
        """
        try:
            import resvg_py
            from font_roboto import Roboto, RobotoBold
        except ModuleNotFoundError:
            raise SpecError('charts become PNG with resvg-py: pip install "aiohooks[charts]"') from None
        # A server may have no fonts, and the text would be missing without a word.
        return bytes(
            resvg_py.svg_to_bytes(
                svg_string=self._repr_svg_(),
                zoom=zoom,
                background="white",
                font_files=[Roboto, RobotoBold],
                skip_system_fonts=True,
                sans_serif_family="Roboto",
            )
        )
