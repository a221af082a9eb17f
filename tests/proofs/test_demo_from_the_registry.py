"""The demo on a new machine: its model and pictures come out of their packages."""

import io
import os
import time
from pathlib import Path

import cv2
import pytest

from aiohooks.demo.run import run_demo

pytestmark = [pytest.mark.anyio, pytest.mark.proof, pytest.mark.alone]


async def test_it_takes_less_than_a_minute_with_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOHOOKS_CACHE", str(tmp_path / "cache"))
    screen = io.StringIO()
    started = time.perf_counter()
    await run_demo(tmp_path / "out", file=screen)
    assert time.perf_counter() - started < 60
    seen = screen.getvalue()
    for name, label in (("chelsea.png", "tiger cat"), ("coffee.png", "espresso"), ("camera.png", "tripod")):
        assert any(line.startswith(name) and label in line for line in seen.splitlines()), seen
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 8
    assert cv2.imread(str(tmp_path / "out" / "contact-sheet.jpg")).shape == (670, 1330, 3)

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    await run_demo(tmp_path / "again", file=io.StringIO())  # needs no registry any more
