"""Packages that are really installed, as far as Python can tell: a module and its metadata on the path."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def installed(folder: Path, name: str, code: str, entry_points: str) -> Iterator[None]:
    """Install a package of one module of the same name; leaving uninstalls it.

    Args:
        folder: where.
        name: of the package and its module; not one that is installed.
        code: of the module.
        entry_points: in the form of ``entry_points.txt``.
    """
    site = folder / name
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / f"{name}.py").write_text(code, encoding="utf-8")
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    sys.path.insert(0, str(site))
    try:
        yield
    finally:
        sys.path.remove(str(site))
        sys.modules.pop(name, None)
