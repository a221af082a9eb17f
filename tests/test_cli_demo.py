"""`aiohooks demo`, on pictures and weights made here."""

from pathlib import Path

import cv2
import pytest
from tiny_models import classifier, plain, save

from aiohooks.cli import main
from aiohooks.demo import cache, run
from aiohooks.demo.assets import Asset, Package
from aiohooks.demo.efficientnet_lite0 import classifier_path


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache with a model and one picture, as if they had been fetched."""
    monkeypatch.setenv("AIOHOOKS_CACHE", str(tmp_path / "cache"))
    content = cv2.imencode(".png", plain(green=255)[:, :, ::-1])[1].tobytes()
    picture = Asset(Package("pictures", "1.0", 0), "coffee.png", len(content), cache.sha256_of_bytes(content))
    cache.put(picture.path, content)
    monkeypatch.setattr(run, "PICTURES", [picture])
    classifier_path().parent.mkdir(parents=True)
    save(classifier(["tiger cat", "espresso", "blue"]), classifier_path())


@pytest.mark.usefixtures("cached")
def test_the_demo_says_what_it_did_and_leaves_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    output = tmp_path / "out"
    assert main(["demo", "--output", str(output)]) == 0
    assert "espresso" in capsys.readouterr().out
    assert (output / "contact-sheet.jpg").is_file()


@pytest.mark.usefixtures("cached")
def test_a_device_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["demo", "--output", str(tmp_path / "out"), "--device", "ABACUS"]) == 1
    assert "aiohooks demo: " in capsys.readouterr().err
