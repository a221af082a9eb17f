"""What a report tells of a database."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import drift_report_fixtures as made
import msgspec
import numpy as np
import ood_fixtures
import pytest
import tiny_models
from drift_report_fixtures import DAYS, EVENTS, LABELS, MONDAY
from hypothesis import given
from hypothesis import strategies as st

from aiohooks import DriftReport, Frame
from aiohooks.cli import main
from aiohooks.errors import LoadError, SpecError
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.report import gather, plane
from aiohooks.monitors.drift.report.gather import quantiles_of
from aiohooks.monitors.drift.report.pictures import chosen_pictures, data_url
from aiohooks.monitors.drift.sample import BaselineSample, PictureDraw
from aiohooks.monitors.drift.store import DriftStore
from aiohooks.monitors.drift.window import WindowKey


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drift") / "drift.db"
    made.write(path)
    return path


@pytest.fixture(scope="module")
def days(database: Path) -> DriftReport:
    return DriftReport.read(database, bin="day")


@pytest.fixture(scope="module")
def page(days: DriftReport) -> str:
    return days.html()


def details(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="windows">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_it_tells_what_the_database_has(days: DriftReport, database: Path) -> None:
    found = days.findings
    assert (found.version, found.labels, found.length) == ("m1", tuple(LABELS), "day")
    assert [window.start for window in found.windows] == [MONDAY + day * 86_400 for day in range(DAYS)]
    assert [window.events for window in found.windows] == [EVENTS] * DAYS
    assert found.refused == 1
    assert [window.decision.drifted(0.001) for window in found.windows] == [False, False, True, True]
    store = DriftStore.read(database)
    try:
        whole = store.window(WindowKey("day", MONDAY + 2 * 86_400, "m1", ""), together=True)
    finally:
        store.close()
    assert whole is not None
    assert found.baseline.decide(whole.summary) == found.windows[2].decision
    assert [(segment.name, segment.events) for segment in found.segments] == [
        ("line A", DAYS * EVENTS * 2 // 3), ("line B", DAYS * EVENTS // 3),
    ]  # fmt: skip
    assert all(len(window.segments) == 2 for window in found.windows)
    assert {alert.rule for alert in found.alerts} == {"days <i>", "few"}
    assert all(len(window.points) == 60 for window in found.windows)
    assert found.windows[0].truth == (EVENTS // 2, EVENTS // 2)


def test_progress_is_told_by_the_window(database: Path) -> None:
    told: list[tuple[str, int, int]] = []
    report = DriftReport.read(database, bin="day", progress=lambda *done: told.append(done))
    count = len(report.findings.windows)
    assert told == [(database.name, number, count) for number in range(1, count + 1)]


def test_bins_are_as_short_as_is_of_use(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DriftReport.read(database).findings.length == "day", "an hour has 10 events"
    assert DriftReport.read(database, bin="hour").findings.length == "hour"
    monkeypatch.setattr(gather, "ENOUGH_EVENTS", 0)
    assert DriftReport.read(database).findings.length == "hour", "there are too many minutes"
    half_a_day = DriftReport.read(
        database, since=datetime.fromtimestamp(MONDAY + 3 * 86_400, UTC), until=MONDAY + 3.5 * 86_400
    )
    assert half_a_day.findings.length == "minute"
    with pytest.raises(SpecError, match="at most 800; take hours"):
        DriftReport.read(database, bin="minute")


def test_what_cannot_be_told(database: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no windows in that period"):
        DriftReport.read(database, until=MONDAY - 1e6)
    with pytest.raises(SpecError, match="no model 'm2' in that period, but m1"):
        DriftReport.read(database, version="m2")
    with pytest.raises(SpecError, match="since: a time needs a zone"):
        DriftReport.read(database, since=datetime(2026, 1, 1))
    with pytest.raises(LoadError, match="no such file"):
        DriftReport.read(tmp_path / "none.db")


def test_charts_have_what_moved(days: DriftReport) -> None:
    assert set(days.charts) >= {
        "drift",
        "psi",
        "jsd",
        "traffic",
        "class mix",
        "brightness",
        "true labels",
        "segments",
        "labels",
        "feature norm",
        "drift of feature norm",
    }
    for name, chart in days.charts.items():
        assert "nan" not in chart.svg, name
        assert "</script>" not in chart.svg, name
    assert days.charts["drift"].svg.count("<title>days &lt;i&gt;: critical") == 1
    dark = days.findings.windows[3].numbers["brightness"]
    assert dark.mean < days.findings.usual_numbers["brightness"].mean - 0.15


def test_charts_have_gaps_where_nothing_was(tmp_path: Path) -> None:
    made.write(tmp_path / "some.db", days=1, events=6)
    report = DriftReport.read(tmp_path / "some.db", bin="hour")
    assert 1 < len(report.findings.windows) <= 6
    assert all(window.decision.p_value is None for window in report.findings.windows)
    assert "nan" not in report.html()
    windows = report.findings.windows
    hours = (windows[-1].end - windows[0].start) / 3600
    assert hours > len(windows), "there are gaps"
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', report.charts["traffic"].svg)]
    assert len(widths) == len(windows)
    assert max(widths) <= 420 / hours, "a bar is as wide as an hour"


def test_pictures_of_a_baseline_are_spread_over_all_that_it_saw() -> None:
    draw = PictureDraw()
    for index in range(500):
        pixels = np.full((300, 400, 3), index // 2, np.uint8)
        draw.see(Frame(pixels, index=index), None)  # type: ignore[arg-type]
    shades = [
        int(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).mean()) for picture in draw.pictures()
    ]
    assert len(shades) == 24
    assert shades[0] < 10
    assert shades[-1] > 230
    assert all(0 < step < 30 for step in np.diff(shades))


def test_the_page_stands_alone_and_escapes(page: str, days: DriftReport) -> None:
    assert len(page) < 10_000_000
    assert "<b>" not in page
    assert "days <i>" not in page
    fetched: list[str] = []

    class Seen(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            fetched.extend(value or "" for name, value in attrs if name in ("src", "href"))

    Seen().feed(page)
    assert fetched
    assert all(address.startswith("data:") for address in fetched)
    told = details(page)
    assert told["labels"] == LABELS
    assert [window["events"] for window in told["windows"]] == [EVENTS] * DAYS
    assert all(
        url.startswith("data:image/jpeg;base64,") or address
        for window in told["windows"]
        for url, address, *_ in window["pictures"]
    )
    assert page.count('alt="of the baseline"') == 6
    assert '<option value="3" selected>' in page or '<option value="2" selected>' in page
    assert days.html() == page, "the same report is the same page"


def test_the_map_moves_with_the_window(days: DriftReport) -> None:
    found = plane.plane_of(days.findings)
    still, moved = (np.linalg.norm(found.means[day] - found.means[0]) for day in (1, 3))
    assert moved > 4 * still
    assert len(found.centres) == len(days.findings.baseline.instruments.centres)
    assert [len(points) for points in found.points] == [60] * DAYS
    assert days.map(2).svg.count("<circle") > 60 + 400 * 0.9 / 2
    assert days.map(2) != days.map(1)


def test_umap_says_what_it_needs(days: DriftReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(SpecError, match=r"pip install .aiohooks\[umap\]"):
        DriftReport(days.findings, projection="umap").map()


def test_pictures_have_room_or_are_left_out(days: DriftReport) -> None:
    windows = days.findings.windows
    everything = chosen_pictures(windows)
    size = sum(len(url) for urls in everything for url in urls)
    some = chosen_pictures(windows, size // 3)
    assert sum(len(url) for urls in some for url in urls) <= size // 3
    kept = [sum(map(bool, urls)) for urls in some]
    assert min(kept) >= 1
    assert max(kept) - min(kept) <= 6, "every window has about as many"


@pytest.mark.parametrize("data", [b"", b"<svg onload=alert(1)>", b"RIF", b"%PDF-"])
def test_what_is_no_picture_is_not_shown(data: bytes) -> None:
    assert data_url(data) == ""


@given(st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any))
def test_quantiles_lie_within_the_bins_and_ascend(counts: list[int]) -> None:
    low, high = quantiles_of(np.array(counts) / sum(counts), np.array([1.0, 2.0, 4.0]))
    assert 1.0 <= low <= high <= 4.0


def test_quantiles_of_a_level_histogram() -> None:
    edges = np.arange(1.0, 10.0)
    assert quantiles_of(np.full(10, 0.1), edges) == pytest.approx((1.0, 9.0))
    assert np.isnan(quantiles_of(np.full(10, np.nan), edges)).all()


def test_a_baseline_keeps_what_is_shown_of_it(tmp_path: Path) -> None:
    fitted = made.baseline()
    fitted.save(tmp_path / "b")
    loaded = DriftBaseline.load(tmp_path / "b")
    assert loaded.sample.pictures == fitted.sample.pictures == tuple(made.picture(seed) for seed in range(6))
    np.testing.assert_array_equal(loaded.sample.positions, fitted.sample.positions)
    assert loaded.identity == fitted.identity


# the command line


def test_a_report_on_the_command_line(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "new/report.html"
    assert main(["drift", "report", str(database), "-o", str(page), "--bin", "day", "--title", "My line"]) == 0
    assert "4 windows by the day, 960 events" in capsys.readouterr().out
    assert "<title>My line</title>" in page.read_text("utf-8")
    (tmp_path / "file").write_text("")
    assert main(["drift", "report", str(database), "-o", str(tmp_path / "file/report.html")]) == 2
    assert main(["drift", "report", str(tmp_path / "none.db"), "-o", str(page)]) == 1
    assert "there is no such file" in capsys.readouterr().err


def test_status(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", "status", str(database), "--bin", "day"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if re.match(r"20\d\d-", line)]) == DAYS
    assert main(["drift", "status", str(database), "--bin", "day", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [window["events"] for window in told["windows"]] == [EVENTS] * DAYS
    assert told["windows"][2]["p_value"] < 0.001


def test_databases_merge(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.db"
    made.write(other, days=1, events=50)
    target = tmp_path / "all.db"
    for _ in range(2):  # again makes no difference
        assert main(["drift", "merge", str(target), str(other), str(database)]) == 0
    assert "0 windows in" in capsys.readouterr().out.splitlines()[-1]
    report = DriftReport.read(target, bin="day")
    assert [window.events for window in report.findings.windows] == [EVENTS + 50, EVENTS, EVENTS, EVENTS]
    assert report.findings.labels == tuple(LABELS)
    assert main(["drift", "merge", str(target), str(target)]) == 1
    assert "the database to merge into" in capsys.readouterr().err


def test_wrong_times(capsys: pytest.CaptureFixture[str], database: Path) -> None:
    with pytest.raises(SystemExit):
        main(["drift", "status", str(database), "--since", "yesterday"])
    assert "expected a time such as 2026-01-31" in capsys.readouterr().err
    assert main(["drift", "status", str(database), "--since", "2099-01-01"]) == 1


def test_a_baseline_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_models.save(ood_fixtures.model(), tmp_path / "model.xml")
    ood_fixtures.write(tmp_path / "held_out", ood_fixtures.normal(100, seed=1))
    fitted = tmp_path / "new/baseline.drift"
    assert main(["drift", "fit", str(tmp_path / "model.xml"), str(tmp_path / "held_out"), "-o", str(fitted)]) == 0
    assert "60 events" in capsys.readouterr().out
    baseline = DriftBaseline.load(fitted)
    assert len(baseline.sample.pictures) == 24
    assert all(data_url(picture) for picture in baseline.sample.pictures)


def test_a_page_keeps_its_size_whatever_addresses_and_alerts_there_are(days: DriftReport) -> None:
    example = days.findings.windows[0].examples[0]
    many = tuple(
        msgspec.structs.replace(example, picture=b"", address=f"https://host/{i}" + "é" * 2000) for i in range(2000)
    )
    (alert,) = days.findings.alerts[:1]
    windows = (replace(days.findings.windows[0], examples=many), *days.findings.windows[1:])
    page = DriftReport(replace(days.findings, windows=windows, alerts=(alert,) * 20_000)).html()
    assert len(page.encode()) < 10_000_000
    pictures = details(page)["windows"][0]["pictures"]
    assert len(pictures) > 100
    assert all(url == "" and address.startswith("https://host/") for url, address, *_ in pictures)


def test_examples_of_a_baseline_are_small() -> None:
    with pytest.raises(SpecError, match="a picture has 70,000 bytes"):
        BaselineSample.of(np.zeros((1, 2)), [bytes(70_000)])
