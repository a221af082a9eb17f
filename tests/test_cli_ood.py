"""``aiohooks ood``, and the page that it writes."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import ood_fixtures as pictures
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st
from ood_fixtures import normal, strange

from aiohooks.cli import main
from aiohooks.monitors.ood.roc import Roc


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, normal pictures to fit on and to score, strange ones, and the OOD model fitted on the first."""
    folder = tmp_path_factory.mktemp("ood")
    tiny_models.save(pictures.model(), folder / "colours.xml")
    pictures.write(folder / "train", normal(240))
    pictures.write(folder / "held", normal(150, seed=1))
    pictures.write(folder / "normal", normal(40, seed=2))
    pictures.write(folder / "odd <one>", strange(10))
    fit = ["ood", "fit", str(folder / "colours.xml"), str(folder / "train"), "-o", str(folder / "new" / "colours.ood")]
    assert main([*fit, "--calibration", str(folder / "held"), "--config", "INFERENCE_PRECISION_HINT=f32"]) == 0
    return folder


def ood(action: str, folder: Path, *arguments: object) -> int:
    return main(["ood", action, str(folder / "colours.xml"), str(folder / "new/colours.ood"), *map(str, arguments)])


def test_fit_tells_what_came_of_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = [
        "ood",
        "fit",
        str(folder / "colours.xml"),
        str(folder / "train"),
        str(folder / "held"),
        "-o",
        str(tmp_path / "m.ood"),
    ]
    assert main([*fit, "--ood", str(folder / "odd <one>"), "--corruptions", "blur", "--max-bank", "100"]) == 0
    told = dict(re.split("   +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert told["OOD model"] == str(tmp_path / "m.ood")
    assert told["features"] == "48"
    assert told["logits"] == "with the last layer's"
    assert told["calibrated on"].endswith(
        "set aside: rates hold only if the network was not trained on them (--calibration)"
    )
    assert main([*fit[:-1], str(tmp_path / "m.ood" / "below")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_score_lists_the_strangest_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ood("score", folder, folder / "normal", folder / "odd <one>") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 23  # head, 20 pictures, a blank line and the sum
    assert [line.split()[2] for line in lines[1:9]] == ["OOD"] * 8
    found = re.match(r"(\d+) of 50 pictures are out of distribution, of which at most 10%", lines[-1])
    assert found is not None
    assert 8 <= int(found[1]) <= 14
    assert ood("score", folder, folder / "normal", "--json", "--false-discovery-rate", 0.01) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["false_discovery_rate"], told["left_out"], len(told["pictures"])) == (0.01, 0, 40)
    scores = [one["score"] for one in told["pictures"]]
    assert scores == sorted(scores, reverse=True)
    assert ood("score", folder, folder / "normal", "--all") == 0
    assert len(capsys.readouterr().out.splitlines()) == 43


def test_what_cannot_be_flagged_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = pictures.write(tmp_path / "odd", [*normal(40, seed=5), *strange(1)])
    assert ood("score", folder, odd, "--false-discovery-rate", 0.05) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1].startswith("0 of 41 pictures are out of distribution")
    assert out.splitlines()[-1].endswith("; fewer than 8 could not be flagged")
    assert "only 8 or more of 41 pictures could be at a false discovery rate of 0.05" in err
    assert ood("score", folder, odd, "--json", "--false-discovery-rate", 0.05) == 0
    assert json.loads(capsys.readouterr().out)["least_flaggable"] == 8
    page = tmp_path / "r.html"
    assert ood("report", folder, odd, "-o", page, "--false-discovery-rate", 0.05) == 0
    assert "fewer than 8 could not be: calibrate on more pictures" in page.read_text("utf-8")


def test_a_picture_that_cannot_be_read_is_told_and_the_rest_scored(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures.write(tmp_path, normal(3))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert ood("score", folder, tmp_path) == 1
    out, err = capsys.readouterr()
    assert "of 3 pictures" in out
    assert "broken.png" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "{}/colours.xml", "{}/new/colours.ood", "-o", "r.html"], "nothing to report on"),
        (["score", "{}/colours.xml", "{}/colours.xml", "{}/normal"], "this is not a file of an OOD model"),
        (
            ["score", "{}/colours.xml", "{}/new/colours.ood", "{}/normal", "--features", "auto"],
            "gives no feature vector",
        ),
        (
            ["fit", "{}/colours.xml", "{}/normal", "-o", "x.ood", "--corruptions", "fog"],
            "known are cut_out, blur, noise",
        ),
    ],
)
def test_what_makes_no_sense_is_said(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ood", *(argument.format(folder) for argument in arguments)]) in (1, 2)
    assert message in capsys.readouterr().err


class Page(HTMLParser):
    """What a page shows, and what it asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_report_is_one_whole_page(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "report.html"
    sources = [folder / "held", "--normal", folder / "normal", "--ood", folder / "odd <one>"]
    assert ood("report", folder, *sources, "-o", path, "--strangest", 5) == 0
    assert capsys.readouterr().out == f"report in {path}\n"
    text = path.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert len(page.links) == 15
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert not re.search(r"https?:|url\(|@import", text)
    words = " ".join(page.words)
    assert "colours.ood on colours" in words
    assert "odd <one>" in words  # as text, not as a tag
    assert "AUROC 1.000" in words
    assert page.tags.count("polyline") == 1
    assert ood("report", folder, folder / "held", "-o", path, "--strangest", 0) == 0
    page = Page(path.read_text("utf-8"))
    assert "polyline" not in page.tags
    assert "img" not in page.tags


SCORES = st.lists(st.integers(0, 6), min_size=1, max_size=20)


@given(SCORES, SCORES)
def test_the_area_under_the_curve_is_how_often_the_strange_picture_scores_higher(
    inside: list[int], outside: list[int]
) -> None:
    roc = Roc.of(inside, outside)
    pairs = np.subtract.outer(outside, inside)
    assert roc.auroc == pytest.approx(np.mean(pairs > 0) + np.mean(pairs == 0) / 2)
    thresholds = [t for t in {*inside, *outside} if np.mean(np.array(outside) >= t) >= 0.95]
    assert roc.fpr95 == pytest.approx(min(np.mean(np.array(inside) >= t) for t in thresholds))
    best = max((np.mean(np.array(outside) >= t) for t in range(9) if np.mean(np.array(inside) >= t) <= 0.1), default=0)
    assert roc.found_at(0.1) == pytest.approx(best)
