"""What the live page keeps, and how much of it."""

import logging
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
import served
import tiny_models
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from loops import on_one_loop
from test_live_page import do, watching

import aiohooks as ah
from aiohooks.charts import Chart
from aiohooks.errors import FrameError
from aiohooks.hooks.actions.file_system import StoredFiles
from aiohooks.hooks.outcome import Outcome, OutcomeKind
from aiohooks.server.live import collected, drawing, drift_charts, sign_in
from aiohooks.server.live.collected import Collected
from aiohooks.server.live.drift_charts import MOST_ALERTS, MOST_CHARTS, drift_pictures
from aiohooks.server.live.sign_in import SignedIn
from aiohooks.server.live.thresholds import with_threshold
from aiohooks.server.live.troubles import MOST_CHARACTERS, Troubles


def cookie_of(signed_in: SignedIn) -> str:
    answer = web.Response()
    signed_in.add(request_with(""), answer)
    return "; ".join(f"{name}={each.value}" for name, each in answer.cookies.items())


def request_with(cookie: str) -> web.Request:
    return make_mocked_request("GET", "/", {"Host": "localhost:8000", "Cookie": cookie})


def test_a_browser_is_remembered_for_half_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(sign_in.anyio, "current_time", lambda: now)
    signed_in = SignedIn()
    cookie = cookie_of(signed_in)
    assert request_with(cookie) in signed_in
    assert request_with("") not in signed_in
    (value,) = SimpleCookie(cookie).values()
    assert request_with(cookie.replace(value.value, "x")) not in signed_in
    now += sign_in.SECONDS - 1
    assert request_with(cookie) in signed_in
    now += 1
    assert request_with(cookie) not in signed_in


def test_of_too_many_browsers_the_first_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "MOST", 2)
    monkeypatch.setattr(sign_in.anyio, "current_time", lambda: 0.0)
    signed_in = SignedIn()
    cookies = [cookie_of(signed_in) for _ in range(3)]
    assert [request_with(cookie) in signed_in for cookie in cookies] == [False, True, True]


def outcome(hook: str, index: int, kind: OutcomeKind = OutcomeKind.DONE, value: Any = None) -> Outcome:
    return Outcome(hook=hook, kind=kind, frame_name="", frame_index=index, value=value)


def test_the_latest_of_each_hook_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collected, "MOST_HOOKS", 2)
    kept = Collected()
    files = [StoredFiles(image=f"{index}.png", overlay=f"{index}-drawn.png" if index else None) for index in range(20)]
    kept.add([outcome(hook, index, value=files[index]) for index in range(20) for hook in ("a", "b", "too many")])
    kept.add([outcome("a", 20, OutcomeKind.RATE_LIMITED), outcome("b", 20, OutcomeKind.FAILED)])
    assert [each["frame"] for each in kept.outcomes_of("a")] == [f"frame {index}" for index in range(19, 11, -1)]
    assert kept.outcomes_of("b")[0]["kind"] == "failed"
    assert kept.outcomes_of("too many") == []
    assert [kept.next_file() for _ in "ab"] == [(hook, "frame 19", Path("19-drawn.png")) for hook in "ab"]
    assert not kept.waits
    for index in range(9):
        kept.keep("a", str(index), b"%d" % index)
    told = kept.pictures_of("a")
    assert [each["name"] for each in told] == ["8", "7", "6", "5", "4", "3"]
    assert [kept.pictures[each["number"]] for each in told] == [b"8", b"7", b"6", b"5", b"4", b"3"]
    assert len(kept.pictures) == 6


def test_a_hook_without_an_overlay_shows_its_picture() -> None:
    kept = Collected()
    kept.add([outcome("a", 0, value=StoredFiles(image="0.png"))])
    assert kept.next_file() == ("a", "frame 0", Path("0.png"))


def test_pictures_are_small(tmp_path: Path) -> None:
    for shape, expected in (((1200, 300, 3), (640, 160)), ((30, 40, 3), (30, 40)), ((2, 5000, 3), (1, 640))):
        data = drawing.encoded(drawing.small(np.zeros(shape, np.uint8), drawing.LONGER_SIDE))
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2] == expected
    (tmp_path / "a.png").write_bytes(served.png(np.zeros((800, 400, 3), np.uint8)))
    data, _ = drawing.small_copy(tmp_path / "a.png")
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2] == (192, 96)
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(FrameError, match=r"b\.png: it is not a picture"):
        drawing.small_copy(tmp_path / "b.png")


def test_of_drift_the_first_charts_and_the_latest_alerts_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [*(f"measure {index}" for index in range(12)), "psi", "drift, wide"]
    report = SimpleNamespace(
        charts={name: Chart(f'<svg width="1"><text>{name}</text></svg>') for name in names},
        findings=SimpleNamespace(
            alerts=tuple(range(30)), windows=(SimpleNamespace(events=3), SimpleNamespace(events=4)), length="hour"
        ),
    )
    monkeypatch.setattr(drift_charts.DriftReport, "read", lambda _: report)
    told, seconds = drift_pictures(cast("Any", SimpleNamespace(database=Path("drift.db"))))
    assert not isinstance(told, str)
    assert [title for title, _ in told.charts] == [
        "Drift",
        "PSI",
        *(f"Measure {index}" for index in range(MOST_CHARTS - 2)),
    ]
    assert told.charts[0][1].startswith(b'<svg width="1"><style>@media(prefers-color-scheme:dark)')
    assert list(told.alerts) == [*range(29, 29 - MOST_ALERTS, -1)]
    assert (told.windows, told.events, told.length) == (2, 7, "hour")
    assert seconds < 1


def test_another_threshold_takes_the_place_of_a_rate() -> None:
    features = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    trigger = ah.OODTrigger(ah.OODModel.fit_arrays(features), false_alarm_rate=0.1) | ah.EmptyLabelTrigger()
    changed = with_threshold(trigger, "parts.0.threshold", 0.25)
    assert (changed.parts[0].threshold, changed.parts[0].false_alarm_rate) == (0.25, None)


def test_troubles_are_short_and_each_is_counted() -> None:
    troubles = Troubles()
    for index in range(100):
        troubles.handle(logging.LogRecord("aiohooks", logging.ERROR, "", 0, "%d " + "x" * 1000, (index,), None))
    assert troubles.count == 100
    assert [each.number for each in troubles.latest] == [*range(100, 40, -1)]
    assert {len(each.message) for each in troubles.latest} == {MOST_CHARACTERS}


@pytest.mark.anyio
@on_one_loop
async def test_what_is_watched_is_what_the_lowest_score_leaves(tmp_path: Path) -> None:
    async with served.serving(served.colours(tmp_path)) as server, watching(server) as events:
        await events.next()
        await do(server, {"do": "settings", "deployment": "colours", "min_score": 1.0})
        names = [type(one.monitor).__name__ for one in server.deployment.monitors]
        assert names == ["ScoreFloor", "Watch"]
        assert (await server.deployment.infer(tiny_models.plain(red=255))).is_empty
