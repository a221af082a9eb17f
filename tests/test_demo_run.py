"""The demo as a whole, on pictures and weights made here."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_models import classifier, plain, save

from aiohooks.demo import cache, run
from aiohooks.demo.assets import Asset, Package
from aiohooks.demo.contact_sheet import Tile, contact_sheet
from aiohooks.demo.efficientnet_lite0 import classifier_path
from aiohooks.demo.report import what_hooks_did
from aiohooks.errors import ActionError
from aiohooks.hooks.outcome import Outcome, OutcomeFeed, OutcomeKind
from aiohooks.hooks.running_hook import RunningHook

RED, GREEN = (255, 0, 0), (0, 255, 0)


def tile(color: tuple[int, int, int], size: tuple[int, int] = (200, 300)) -> Tile:
    return Tile(np.full((*size, 3), color, np.uint8), "a long name of what is seen", "97%", (0, 0, 255))


@pytest.mark.parametrize(("count", "height", "width"), [(1, 340, 340), (4, 340, 1330), (5, 670, 1330), (8, 670, 1330)])
def test_a_sheet_holds_four_pictures_in_a_row(count: int, height: int, width: int):
    assert contact_sheet([tile(RED)] * count).shape == (height, width, 3)


def test_each_picture_is_in_its_place_with_its_caption():
    sheet = contact_sheet([tile(RED, (50, 40)), tile(GREEN, (900, 1200))])
    assert tuple(sheet[100, 100]) == RED
    assert tuple(sheet[100, 500]) == GREEN
    for left in (10, 340):
        caption = sheet[310:330, left : left + 300]
        assert (caption == (0, 0, 255)).all(axis=2).mean() > 0.5


def test_only_the_middle_of_a_picture_is_shown():
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, :100], image[:, 200:] = RED, RED
    sheet = contact_sheet([Tile(image, "", "", GREEN)])
    assert not (sheet[10:290, 10:330] == RED).all(axis=2).any()


def keep(name: str, image: NDArray[np.uint8]) -> Asset:
    """Put a picture into the cache, as if it had been fetched."""
    content = cv2.imencode(".png", image)[1].tobytes()
    asset = Asset(Package("pictures", "1.0", 0), name, len(content), cache.sha256_of_bytes(content))
    cache.put(asset.path, content)
    return asset


@pytest.mark.anyio
@pytest.mark.parametrize(("encoding", "block"), [("utf-8", "█"), ("ascii", "#")])
async def test_the_demo_says_what_was_seen_and_what_the_hooks_did(
    encoding: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIOHOOKS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(run, "UNSURE_BELOW", 0.5)
    pictures = [
        keep("cat.png", plain(blue=255)),
        keep("coffee.png", plain(green=255)),
        keep("grey.png", plain(90, 90, 91)),
    ]
    monkeypatch.setattr(run, "PICTURES", pictures)
    classifier_path().parent.mkdir(parents=True)
    save(classifier(["tiger cat", "espresso", "blue"]), classifier_path())
    screen, output = io.BytesIO(), tmp_path / "out"

    with io.TextIOWrapper(screen, encoding, write_through=True) as file:
        await run.run_demo(output, file=file)
        lines = screen.getvalue().decode(encoding).splitlines()

    assert f"cat.png      tiger cat   100%   {block * 20}" in lines
    assert f"grey.png     tiger cat    34%   {block * 7}" in lines
    (counts,) = [line.split() for line in lines if line.startswith("unsure") and "ConfidenceTrigger" in line]
    assert counts == ["unsure", "ConfidenceTrigger", "FileSystemDataCollection", "3", "1", "1", "0"]
    assert any(
        line.split() == ["coffee", "coffee.png", "logged", "'coffee.png:", "coffee", "is", "ready'"] for line in lines
    )
    (kept,) = (output / "collected" / "images").iterdir()
    assert any(f"kept as {kept.relative_to(output)}" in line for line in lines)
    assert sorted(path.name for path in (output / "overlays").iterdir()) == ["cat.jpg", "coffee.jpg", "grey.jpg"]
    assert (
        len([line for line in lines if line.startswith("overlays")]) == 1
    )  # it runs on every picture: counts are enough
    sheet = cv2.imread(str(output / "contact-sheet.jpg"))
    assert sheet.shape == (340, 1000, 3)
    corners = sheet[327, [12, 342, 672], ::-1].astype(int)
    assert (abs(corners - [run.SURE_COLOR, run.SURE_COLOR, run.UNSURE_COLOR]) < 20).all()


def test_an_action_that_failed_is_said_to_have(tmp_path: Path):
    failed = Outcome("unsure", OutcomeKind.FAILED, "cat.png", 0, error=ActionError("the disk is full"))
    timed_out = Outcome("unsure", OutcomeKind.TIMED_OUT, "dog.png", 1)
    hook = RunningHook(run.demo_hooks(tmp_path)[0], OutcomeFeed())
    hook.counts.not_fired = 1
    lines = what_hooks_did([hook], [failed, timed_out], tmp_path)
    assert lines[-2:] == ["unsure   cat.png   the disk is full", "unsure   dog.png   timed_out"]
