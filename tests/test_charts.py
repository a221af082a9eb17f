"""Charts: where axes are marked, what is drawn where, and that nothing in a text gets out of it."""

import math
import re
import sys
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import cv2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiohooks.charts import Axis, Chart, Plot
from aiohooks.charts.ticks import linear_ticks, time_ticks
from aiohooks.errors import SpecError

SVG = "{http://www.w3.org/2000/svg}"


def drawn(plot: Plot) -> ET.Element:
    return ET.fromstring(plot.chart().svg)


def texts(plot: Plot) -> list[str]:
    return [element.text or "" for element in drawn(plot).iter(f"{SVG}text")]


def plot(**axes: Axis) -> Plot:
    return Plot("Scores", axes.get("x", Axis(0, 10)), axes.get("y", Axis(0, 1)))


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e9), count=st.integers(1, 12))
@example(low=999_995.0, span=10.0, count=2)
def test_round_places_within_the_axis(low: float, span: float, count: int) -> None:
    ticks = linear_ticks(low, low + span, count)
    places = [at for at, _ in ticks]
    assert 1 <= len(places) <= count + 2 or count == 1
    assert all(low - 1e-6 * span <= at <= low + span * (1 + 1e-6) for at in places)
    assert places == sorted(places)
    assert len({label for _, label in ticks}) == len(ticks)


@given(low=st.floats(0, 4e9), span=st.floats(1, 1e9), count=st.integers(1, 12))
def test_round_times_within_the_axis(low: float, span: float, count: int) -> None:
    places = [at for at, _ in time_ticks(low, low + span, count)]
    assert all(low <= at <= low + span for at in places)
    assert len(places) <= count + 1


def test_times_say_the_day_where_it_changes() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
    labels = [label for _, label in time_ticks(noon, noon + 86_400, 4)]
    assert labels == ["01 Mar 12:00", "18:00", "02 Mar 00:00", "06:00", "12:00"] or labels[0].startswith("01 Mar")
    assert sum("Mar" in label for label in labels) == 2
    assert [label for _, label in time_ticks(noon, noon + 10, 2)] == ["01 Mar 12:00:00", "12:00:05", "12:00:10"]


def test_a_line_goes_from_corner_to_corner_and_has_gaps() -> None:
    shown = plot()
    shown.line([0, 10], [0, 1], label="drift")
    (path,) = [e for e in drawn(shown).iter(f"{SVG}path") if e.get("stroke-width") == "1.6"]
    assert path.get("d") == "M48.0 206.0L468.0 44.0"
    assert "drift" in texts(shown)
    gapped = plot()
    gapped.line([0, 1, 2, 3, 4], [0, 0.5, math.nan, 0.5, math.nan])
    root = drawn(gapped)
    assert len([e for e in root.iter(f"{SVG}path") if e.get("stroke-width") == "1.6"]) == 1
    assert len(list(root.iter(f"{SVG}circle"))) == 1  # a value alone is a dot


def test_bars_stand_on_the_ground() -> None:
    shown = plot(y=Axis(0, 10))
    shown.bars([0, 5, 10], [10, 0])
    (bar,) = drawn(shown).iter(f"{SVG}rect")
    assert (float(bar.get("x", "")), float(bar.get("y", "")), float(bar.get("height", ""))) == (48.0, 44.0, 162.0)


def test_bands_points_and_marks() -> None:
    shown = plot()
    shown.band([0, 5, 10], [0.1, math.nan, 0.1], [0.2, 0.2, 0.2], label="null band")
    shown.points([1, math.inf], [0.5, 0.5], names=["a<b>", "c"], label="frames")
    shown.marks([5, 50], names=["alert", "outside"], label="alerts")
    shown.level(0.5, label="critical")
    said = {element.text for element in drawn(shown).iter(f"{SVG}title")}
    assert said == {"Scores", "a<b>", "alert"}
    assert {"null band", "frames", "alerts", "critical"} <= set(texts(shown))


@given(title=st.text(), label=st.text(min_size=1))
def test_texts_stay_texts(title: str, label: str) -> None:
    title, label = (re.sub(r"[^\x20-\ud7ff\ue000-\ufffd]", "", text) for text in (title, label))
    shown = Plot(title, Axis(0, 1), Axis(0, 1))
    shown.line([0, 1], [0, 1], label=label)
    assert title in texts(shown)


def test_axes() -> None:
    assert Axis.over([3, 1], [math.nan, 2]) == Axis(1, 3)
    assert Axis.over([]) == Axis(0, 1)
    assert Axis.over([5, 5]) == Axis(4.5, 5.5)
    assert Axis.over([0, 10], margin=0.1) == Axis(-1, 11)
    for low, high in ((1, 1), (2, 1), (0, math.inf), (math.nan, 1)):
        with pytest.raises(SpecError, match="from a lower to a higher"):
            Axis(low, high)
    with pytest.raises(SpecError, match="too small"):
        Plot("", Axis(0, 1), Axis(0, 1), width=100)


def test_saved_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = plot()
    shown.line([0, 10], [0, 1])
    chart = shown.chart()
    chart.save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text() == chart._repr_svg_()
    assert "var(" not in chart._repr_svg_()
    chart.save(tmp_path / "a.PNG")
    picture = cv2.imread(str(tmp_path / "a.PNG"))
    assert picture.shape == (480, 960, 3)
    assert (picture[:60] < 128).any()  # the title was written: a font was found
    with pytest.raises(SpecError, match=r"\.svg or \.png"):
        chart.save(tmp_path / "a.pdf")
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(SpecError, match=r"aiohooks\[charts\]"):
        Chart("<svg/>").png()


def test_far_outside_is_cut() -> None:
    shown = plot()
    shown.line([0, 10], [0, 1e30])
    (inner,) = list(drawn(shown).iter(f"{SVG}svg"))[1:]
    assert inner.get("viewBox") == "48 44 420 162"
    (path,) = [e for e in inner.iter(f"{SVG}path") if e.get("stroke-width") == "1.6"]
    assert path.get("d") == "M48.0 206.0L468.0 -9999.0"
