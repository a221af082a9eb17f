"""The drift monitor at work: events in, windows in a file, rules that look at them as they close."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import msgspec
import numpy as np
import pytest
from drift_store_fixtures import NOW, WIDTH, baseline, features, open_store
from virtual_clock import run_virtual

from aiohooks import AlwaysTrigger, LogAction, PostInferenceHook, hooks_from_json, hooks_to_json
from aiohooks.errors import DeliveryError, DeploymentError, LoadError, SpecError, TriggerError
from aiohooks.frame import Frame
from aiohooks.monitors.drift import ledger
from aiohooks.monitors.drift import monitor as monitor_module
from aiohooks.monitors.drift.admission import Admission
from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.alert_book import AlertBook
from aiohooks.monitors.drift.bin import start_of
from aiohooks.monitors.drift.event import DriftEvent
from aiohooks.monitors.drift.fit import kept_events
from aiohooks.monitors.drift.monitor import DriftMonitor
from aiohooks.monitors.drift.retention import DriftRetention
from aiohooks.monitors.drift.rule import DriftRule
from aiohooks.monitors.drift.share import send_changes, take_changes
from aiohooks.monitors.drift.store import DriftStore
from aiohooks.monitors.drift.stored import stored_alerts, stored_baseline
from aiohooks.monitors.drift.trigger import DriftTrigger
from aiohooks.monitors.drift.window import WindowKey
from aiohooks.prediction import Prediction

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # all that meets the event loop is tested with both elsewhere


LABELS = ("cat", "dog", "bird")
PIXELS = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)


def opened(path: Path, **settings: Any) -> DriftMonitor:
    return DriftMonitor(
        baseline(), path / "drift.db", **{"clock": lambda: NOW, "actions": (), "alarm_rate": None} | settings
    )


def frame(index: int = 0, *, at: float = NOW, image: Any = PIXELS, owned: bool = True) -> Frame:
    return Frame(image, index=index, timestamp=datetime.fromtimestamp(at, UTC), owned=owned)


def prediction(seed: int = 0, *, shift: float = 0.0) -> Prediction:
    rng = np.random.default_rng(seed)
    vector, scores = features(rng, 1, shift=shift)[0], rng.dirichlet(np.ones(3))
    best = int(scores.argmax())
    return Prediction.classification(
        (48, 64), LABELS, [scores[best]], [best], class_scores=scores, feature_vector=vector.astype(np.float32)
    )


def accounted(monitor: DriftMonitor) -> bool:
    counts = monitor.counts
    ended = counts.accepted + counts.refused + counts.duplicates + counts.dropped + counts.lost + counts.waiting
    return counts.observed + counts.published == ended and counts.accepted == counts.written + counts.unwritten


def measured(monitor: DriftMonitor) -> dict[tuple[str, str, str], float]:
    """What a monitor tells Prometheus, by name, rule, and metric or kind."""
    return {
        (family.name, labels.get("rule", ""), labels.get("metric", labels.get("kind", ""))): value
        for family in monitor.metrics()
        for _, labels, value in family.samples
    }


async def test_inferences_become_windows(tmp_path: Path) -> None:
    async with opened(tmp_path) as monitor:
        for i in range(130):
            given = prediction(i)
            assert await monitor.observe(frame(i, at=NOW - i % 2 * 60), given) is given
        await monitor.flush()
        assert monitor.counts.written == 130
        first, second = await monitor.windows("minute")
        assert (first.window.events, second.window.events) == (65, 65)
        assert (first.window.key.start, second.window.key.start) == (NOW - 60, NOW)
        assert first.decision.p_value is not None
        held = await monitor.window(second.window.key)
        assert held is not None
        assert len(held.examples) == 4
        assert all(each.picture[:3] == b"\xff\xd8\xff" and each.label in LABELS for each in held.examples)
    assert accounted(monitor)


async def test_events_that_are_published_twice_count_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    events = [DriftEvent(features=row, id=i, timestamp=NOW - i * 60) for i, row in enumerate(features(rng, 20))]
    async with opened(tmp_path) as monitor:
        assert (await monitor.publish(events))[:3] == (20, 0, 0)
        assert (await monitor.publish(events[5:]))[:3] == (0, 15, 0), "before a flush"
        await monitor.flush()
        assert (await monitor.publish([*events, *events]))[:3] == (0, 40, 0), "after it"
        new = DriftEvent(features=[0] * WIDTH, id="new")
        assert (await monitor.publish([new, new, DriftEvent(features=[0] * WIDTH)]))[:3] == (2, 1, 0)
    assert accounted(monitor)
    async with opened(tmp_path) as again:
        assert (await again.publish(events))[:3] == (0, 20, 0), "in another run"
        assert sum(each.window.events for each in await again.windows("week")) == 22


async def test_order_and_parts_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    count = 300
    at = NOW - rng.uniform(0, 90 * 86400, count)
    rows = {
        "features": features(rng, count), "timestamp": at, "id": np.arange(count), "probabilities": rng.dirichlet([1, 1, 1], count),
        "segment": [f"s{i % 3}" for i in range(count)], "target": ["cat"] * count, "image": [f"https://host/{i}" for i in range(count)],
    }  # fmt: skip

    async def windows(folder: str, order: Any, parts: int) -> Any:
        async with opened(tmp_path / folder, name=folder, model_version="v") as monitor:
            for some in np.array_split(order, parts):
                await monitor.publish({name: np.asarray(column)[some] for name, column in rows.items()})
            found = await monitor.windows("day", together=False)
            pictures = [await monitor.window(each.window.key, together=False) for each in found]
            return [
                (one.window.key, one.window.summary, one.window.truth, one.decision, held.examples)
                for one, held in zip(found, pictures, strict=True)
                if held is not None
            ]

    whole = await windows("a", np.arange(count), 1)
    assert len(whole) > 100
    monkeypatch.setattr(monitor_module, "MOST_EVENTS", 7)
    assert await windows("b", rng.permutation(count), 5) == whole


async def test_old_events_are_in_long_windows_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path, retention=DriftRetention(minutes=3600)) as monitor:
        await monitor.publish(features(np.random.default_rng(0), 50), timestamps=np.linspace(NOW - 10 * 86400, NOW, 50))
        lengths = [each.window.key.length for each in await monitor.windows("minute")]
    assert lengths == ["hour"] * 49 + ["minute"]


async def test_what_is_wrong_is_counted_where_it_was_seen(tmp_path: Path) -> None:
    async with opened(tmp_path) as monitor:
        found = await monitor.publish([{"features": [math] * WIDTH} for math in (0.0, float("nan"), "x")])
        assert (found.accepted, found.refused) == (1, 2)
        await monitor.observe(frame(), replace(prediction(), feature_vector=None))
        await monitor.observe(frame(), replace(prediction(), feature_vector=np.zeros(3, np.float32)))
        await monitor.observe(frame(), prediction())
        (judged,) = await monitor.windows("minute")
    assert (judged.window.events, judged.window.refused) == (2, 4)
    assert judged.window.problems == monitor.counts.problems == {
        "features: not finite": 1, "features: wrong type": 1, "features: missing": 1, "features: wrong width": 1,
    }  # fmt: skip
    assert accounted(monitor)


async def test_segments_are_bounded(tmp_path: Path) -> None:
    async with opened(tmp_path, most_segments=2, segment=lambda frame, _: f"camera {frame.index}") as monitor:
        for i in range(6):
            await monitor.observe(frame(i), prediction(i))
        segments = {
            each.window.key.segment: each.window.events for each in await monitor.windows("minute", together=False)
        }
    assert segments == {"camera 0": 1, "camera 1": 1, "(other)": 4}
    async with opened(tmp_path, most_segments=2, segment="camera 9") as monitor:
        await monitor.observe(frame(), prediction())
        assert len(await monitor.windows("minute", together=False)) == 3


async def test_inference_never_waits_for_a_busy_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "MOST_WAITING", 10)
    async with opened(tmp_path) as monitor:
        for i in range(25):
            with anyio.fail_after(20):
                await monitor.observe(frame(i, owned=True), prediction(i))
        assert monitor.counts.dropped == 15
        assert accounted(monitor)
    assert (monitor.counts.written, monitor.counts.dropped) == (10, 15)


async def test_pictures_that_others_may_change_are_copied(tmp_path: Path) -> None:
    large = np.zeros((500, 500, 3), np.uint8)
    async with opened(tmp_path) as monitor:
        for image in (PIXELS.copy(), large):
            await monitor.observe(frame(image=image, owned=False), prediction())
            image[:] = 255
        (judged,) = await monitor.windows("minute")
        held = await monitor.window(judged.window.key)
    assert held is not None
    import cv2

    means = sorted(
        float(cv2.imdecode(np.frombuffer(each.picture, np.uint8), cv2.IMREAD_COLOR).mean()) for each in held.examples
    )
    assert means[0] < 5
    assert means[1] == pytest.approx(PIXELS.mean(), abs=10)


# time ----------------------------------------------------------------------------------------------------------


class NoThread:
    """Does the work at once: the virtual clock would not wait for a thread."""

    def __init__(self, _name: str) -> None:
        pass

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    async def aclose(self) -> None:
        pass


def virtually(test: Callable[[Callable[[], float]], Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await test(lambda: NOW + loop.time())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor_module, "OneThread", NoThread)
        run_virtual(main)


def test_events_are_in_the_file_after_the_flush_interval(tmp_path: Path) -> None:
    async def run(clock: Callable[[], float]) -> None:
        async with opened(tmp_path, clock=clock, flush_interval=5.0, rules=()) as monitor:
            await monitor.observe(frame(), prediction())
            await monitor.publish([DriftEvent(features=[0] * WIDTH)])
            await anyio.sleep(4.9)
            assert monitor.counts.unwritten == 2
            await anyio.sleep(0.2)
            reader = DriftStore.read(tmp_path / "drift.db")
            assert [each.events for each in reader.windows("hour")] == [2]
            reader.close()

    virtually(run)


def test_rules_look_at_windows_as_they_close(tmp_path: Path) -> None:
    alerts: list[tuple[float, DriftAlert]] = []

    async def run(clock: Callable[[], float]) -> None:
        async def note(alert: DriftAlert) -> None:
            alerts.append((clock() - NOW, alert))

        rule = DriftRule(name="minutes", bin="minute")
        async with opened(tmp_path, clock=clock, rules=[rule], actions=[note], lateness=10.0, name="m") as monitor:
            trigger = DriftTrigger("m")
            for minute in range(6):
                shift = 3.0 * (minute in (2, 3))
                for i in range(30):
                    await monitor.observe(frame(at=clock()), prediction(minute * 30 + i, shift=shift))
                assert trigger.evaluate(frame(), prediction()).fired == monitor.is_drifting == (minute in (4, 5))
                await anyio.sleep(60)
            assert not DriftTrigger("m", by="window").evaluate(frame(), prediction())
        with pytest.raises(TriggerError, match="no drift monitor called 'm' is open"):
            trigger.evaluate(frame(), prediction())
        assert monitor.counts.alerts.done == 2

    virtually(run)
    (began, one), (ended, other) = alerts
    assert (one.kind, one.start, one.events, one.monitor) == ("critical", NOW + 120, 30, "m")
    assert (other.kind, other.start) == ("recovered", NOW + 240)
    assert 190 <= began <= 196
    assert 310 <= ended <= 316
    assert one.details["mean features"] > other.details["mean features"]


def test_silence_is_an_alert_where_events_are_counted(tmp_path: Path) -> None:
    alerts: list[DriftAlert] = []

    async def note(alert: DriftAlert) -> None:
        alerts.append(alert)

    async def run(clock: Callable[[], float]) -> None:
        rule = DriftRule(name="traffic", metric="events", bin="minute", side="below", critical=10.0)
        async with opened(tmp_path, clock=clock, rules=[rule], actions=[note], lateness=0.0) as monitor:
            for _ in range(3):
                for i in range(12):
                    await monitor.observe(frame(at=clock()), prediction(i))
                await anyio.sleep(60)
            await anyio.sleep(200)

    virtually(run)
    assert [(alert.kind, alert.value, alert.start) for alert in alerts] == [("critical", 0.0, NOW + 180)]


async def test_three_weeks_as_fiddler_has_them(tmp_path: Path) -> None:
    monday = start_of(NOW, "week") - 4 * 604800
    rule = DriftRule(name="days", bin="day", critical="auto", critical_rate=0.001, repeat_every=86400)
    weeks: dict[int, int] = {}
    async with opened(tmp_path, rules=[rule]) as monitor:
        for week in range(3):
            for day in range(6):
                seed = week * 6 + day
                rng = np.random.default_rng(seed)
                shift = (0.0, 0.3, -0.3)[week]
                at = monday + week * 604800 + day * 86400 + rng.uniform(0, 86400, 1000)
                await monitor.publish(
                    {
                        "features": features(rng, 1000, shift=shift),
                        "probabilities": rng.dirichlet(np.ones(3), 1000),
                        "timestamp": (at * 1000).astype(np.int64),
                        "id": [f"{seed}-{i}" for i in range(1000)],
                    }
                )
        for alert in await monitor.evaluate():
            week = (alert.start - monday) // 604800
            weeks[week] = weeks.get(week, 0) + 1
        assert await monitor.evaluate() == [], "every window is looked at once"
        assert len(await monitor.alerts()) == 12
        told = measured(monitor)
        assert told["aiohooks_drift_alerts_total", "days", "critical"] == 12
        assert told["aiohooks_drift_alerts_total", "days", "warning"] == 0
    assert weeks == {1: 6, 2: 6}
    async with opened(tmp_path, rules=[rule]) as again:
        assert await again.evaluate() == []
        assert again.alarmed == {"days"}
        told = measured(again)
        assert 0 < told["aiohooks_drift_p_value", "days", "drift"] <= 0.001, "of a window of an earlier run"
        assert told["aiohooks_drift_value", "days", "drift"] == 1 - told["aiohooks_drift_p_value", "days", "drift"]
        assert told["aiohooks_drift_window_events", "days", "drift"] == 1000
        assert told["aiohooks_drift_window_end_timestamp_seconds", "days", "drift"] == monday + 2 * 604800 + 6 * 86400
        assert told["aiohooks_drift_alarmed", "days", ""] == 1
        assert told["aiohooks_drift_alerts_total", "days", "critical"] == 0


async def test_compared_with_an_earlier_window(tmp_path: Path) -> None:
    rule = DriftRule(name="more", metric="events", bin="hour", earlier=24, critical=50.0)
    hour = start_of(NOW, "hour") - 3600
    async with opened(tmp_path, rules=[rule]) as monitor:
        await monitor.publish(features(np.random.default_rng(0), 20), timestamps=hour - 86400 + 1)
        await monitor.publish(features(np.random.default_rng(1), 80), timestamps=hour + 1)
        (alert,) = await monitor.evaluate()
    assert (alert.value, alert.start) == (60, hour)


async def test_the_mean_of_a_number(tmp_path: Path) -> None:
    rule = DriftRule(name="unsure", metric="mean of confidence", side="below", critical=0.5)
    hour = start_of(NOW, "hour") - 3600
    async with opened(tmp_path, rules=[rule]) as monitor:
        rows = {"features": features(np.random.default_rng(0), 20), "probabilities": np.full((20, 3), 1 / 3)}
        await monitor.publish(rows, timestamps=hour)
        (alert,) = await monitor.evaluate()
    assert alert.value == pytest.approx(1 / 3, abs=0.01)


async def test_alerts_that_were_found_and_not_taken_come_with_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = start_of(NOW, "hour") - 3600
    async with opened(tmp_path, rules=[DriftRule(name="all")]) as monitor:
        await monitor.publish(features(np.random.default_rng(0), 50, shift=3), timestamps=hour)
        with monkeypatch.context() as patch:
            patch.setattr(AlertBook, "new", lambda _self, _after: [])
            assert await monitor.evaluate() == []
    seen: list[str] = []

    async def note(alert: DriftAlert) -> None:
        seen.append(alert.rule)

    async with opened(tmp_path, rules=[DriftRule(name="all")], actions=[note]) as monitor:
        await monitor.evaluate()
    assert seen == ["all"]


async def test_segments_each_by_itself(tmp_path: Path) -> None:
    rules = [
        DriftRule(name="each", each_segment=True),
        DriftRule(name="left", segment="left"),
        DriftRule(name="all", metric="jsd", critical=9.0),
    ]
    at = start_of(NOW, "hour") - 100
    async with opened(tmp_path, rules=rules) as monitor:
        rng = np.random.default_rng(0)
        await monitor.publish({"features": features(rng, 50), "segment": ["left"] * 50}, timestamps=at)
        await monitor.publish({"features": features(rng, 50, shift=2), "segment": ["right"] * 50}, timestamps=at)
        alerts = await monitor.evaluate()
    assert [(alert.rule, alert.segment) for alert in alerts] == [("each", "right")]


# trouble -------------------------------------------------------------------------------------------------------


def killed(path: Path, flush_interval: float) -> tuple[int, int]:
    """Kill a process that publishes, and return how many events it had published, and how many it had said to be written."""
    program = str(Path(__file__).with_name("drift_publisher.py"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", program, str(path), str(flush_interval)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        published = written = 0
        for line in process.stdout:  # also what it had printed when it was killed
            published, written = map(int, line.split())
            if written >= 500:
                process.send_signal(signal.SIGKILL)
    return published, written


async def test_a_killed_process_loses_what_was_not_flushed_and_breaks_nothing(tmp_path: Path) -> None:
    published, written = killed(tmp_path / "drift.db", 0.05)
    async with opened(tmp_path) as monitor:
        whole = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"
        assert await monitor._thread.run(monitor._ledger.store.database.value, whole) == 1
        kept = sum(each.window.events for each in await monitor.windows("week"))
        assert kept % 50 == 0, "publications are whole"
        assert written <= kept <= published + 50
        found = {"accepted": 0, "duplicates": 0}
        for start in range(0, published, 50):
            ids = list(range(start, start + 50))
            part = await monitor.publish({"features": np.zeros((50, WIDTH)), "id": ids, "timestamp": [NOW] * 50})
            found["accepted"] += part.accepted
            found["duplicates"] += part.duplicates
        assert found["duplicates"] == min(kept, published), "what is there is known"
        assert found["accepted"] == max(published - kept, 0), "what is lost can be published again"


async def test_a_full_disk_is_reported_and_survived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(tmp_path, flush_interval=0.01) as monitor:
        database = monitor._ledger.store.database

        async def limit(pages: int) -> None:
            await monitor._thread.run(database.value, f"PRAGMA max_page_count = {pages}")

        await limit(await monitor._thread.run(database.value, "PRAGMA page_count"))
        await monitor.publish(features(np.random.default_rng(0), 300), timestamps=NOW - np.arange(300) * 60)
        for i in range(20):
            await monitor.observe(frame(i), prediction(i))
        with pytest.raises(DeliveryError, match="database or disk is full"):
            await monitor.flush()
        assert (monitor.counts.unwritten, monitor.counts.written) == (320, 0)
        assert monitor.counts.failed_flushes >= 1
        assert accounted(monitor)
        await limit(1_000_000)
        await monitor.flush()
        assert (monitor.counts.unwritten, monitor.counts.written, monitor.counts.lost) == (0, 320, 0)
    assert len([record for record in caplog.records if "disk is full" in record.message]) == 1


async def test_a_disk_that_stays_full_costs_events_and_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ledger, "MOST_WINDOWS", 50)
    async with opened(tmp_path) as monitor:
        database = monitor._ledger.store.database
        await monitor._thread.run(database.value, "PRAGMA max_page_count = 1")
        await monitor.publish(features(np.random.default_rng(0), 60), timestamps=NOW - np.arange(60) * 60)
        with pytest.raises(DeliveryError, match="disk is full"):
            await monitor.publish(features(np.random.default_rng(0), 60))
        for i in range(30):
            await monitor.observe(frame(i), prediction(i))
        await monitor._hand_over()
        assert (monitor.counts.lost, monitor.counts.unwritten) == (30, 60)
    assert (monitor.counts.lost, monitor.counts.accepted, monitor.counts.written) == (90, 0, 0)
    assert "60 events are lost" in caplog.text


async def test_what_goes_wrong_in_the_thread_costs_its_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as monitor:
        with monkeypatch.context() as patch:
            patch.setattr(ledger, "batch_of", lambda *_, **__: 1 / 0)
            await monitor.observe(frame(), prediction())
            await monitor._hand_over()
        await monitor.observe(frame(), prediction())
    assert (monitor.counts.lost, monitor.counts.written) == (1, 1)
    assert "ZeroDivisionError" in caplog.text


@asynccontextmanager
async def attached_model(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[DriftMonitor, Any]]:
    import tiny_models

    from aiohooks.deployment import Deployment
    from aiohooks.monitors.drift.baseline import DriftBaseline

    path = tiny_models.save(tiny_models.classifier(xai=True), tmp_path / "model.xml")
    async with Deployment.load(path) as deployment:
        rng = np.random.default_rng(0)
        results = await deployment.infer_many([rng.integers(0, 100, (64, 64, 3), np.uint8) for _ in range(100)])
        fitted = DriftBaseline.fit_arrays(
            [result.prediction.feature_vector for result in results],
            [result.prediction.class_scores for result in results],
            components=4, random_features=8, windows=200,
        )  # fmt: skip
        async with DriftMonitor(fitted, tmp_path / "drift.db", actions=(), **settings) as monitor:
            yield monitor, deployment


async def test_on_a_deployment(tmp_path: Path) -> None:
    async with attached_model(tmp_path, name="line 4") as (monitor, deployment):
        attached = deployment.attach(monitor)
        rng = np.random.default_rng(1)
        async with deployment.stream([rng.integers(0, 100, (64, 64, 3), np.uint8) for _ in range(40)]) as results:
            assert [result.error async for result in results] == [None] * 40
        deployment.detach(monitor)
        await deployment.infer(PIXELS)
        (judged,) = await monitor.windows("hour")
        assert (judged.window.events, judged.window.key.version) == (40, deployment.describe().name)
        assert judged.decision.p_value is not None
        assert (attached.seen, attached.failed) == (40, 0)
        held = await monitor.window(judged.window.key)
        assert held is not None
        assert {each.label for each in held.examples} <= {"red", "green", "blue"}


async def test_a_model_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    import tiny_models

    from aiohooks.deployment import Deployment

    async with opened(tmp_path) as monitor:
        for made, message in (
            (tiny_models.classifier(), "gives no feature vector.*features=True"),
            (tiny_models.classifier(xai=True), "gives feature vectors of 48 numbers.*fitted on 6"),
        ):
            async with Deployment.load(made) as deployment:
                with pytest.raises(SpecError, match=message):
                    deployment.attach(monitor)
    (tmp_path / "other").mkdir()
    async with attached_model(tmp_path / "other", name="other") as (monitor, deployment):
        two = msgspec.structs.replace(deployment.describe(), labels=("red", "blue"))
        with pytest.raises(SpecError, match="has 2 labels, and the drift baseline was fitted on 3"):
            monitor.attached(two)


async def test_use_in_the_wrong_order(tmp_path: Path) -> None:
    monitor = opened(tmp_path)
    with pytest.raises(DeploymentError, match="drift is new: use it in `async with`"):
        await monitor.publish([])
    with pytest.raises(DeploymentError, match="drift is new"):
        await monitor.observe(frame(), prediction())
    async with monitor:
        with pytest.raises(SpecError, match="a drift monitor called 'drift' is open already"):
            await opened(tmp_path / "other").open()
        with pytest.raises(DeploymentError, match="drift is open"):
            await monitor.open()
    await monitor.aclose()
    with pytest.raises(DeploymentError, match="drift is closed"):
        await monitor.flush()
    (tmp_path / "drift.db").write_bytes(b"x" * 1000)
    with pytest.raises(LoadError):
        await opened(tmp_path).open()
    assert threads() == set()


def threads() -> set[str]:
    import threading

    return {thread.name for thread in threading.enumerate() if thread.name.startswith("aiohooks drift")}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flush_interval": 0}, "flush_interval: at least 0.01"),
        ({"lateness": -1}, "lateness: at least 0"),
        ({"horizon": -1}, "horizon: at least 0"),
        ({"rules": [DriftRule(name="a"), DriftRule(name="a")]}, "two rules"),
        (
            {"rules": [DriftRule(name="a", metric="x")]},
            "rule 'a': there is no metric 'x'; there are drift, .*mean of confidence",
        ),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        opened(tmp_path, **settings)


async def test_monitors_merge(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    async with opened(tmp_path / "a", name="a") as one, opened(tmp_path / "b", name="b") as other:
        for monitor in (one, other):
            await monitor.publish({"features": features(rng, 40), "model_version": ["v"] * 40}, timestamps=NOW - 60)
        bundles = [bundle async for bundle in one.export()]
        assert [await other.merge(data) for data, _ in bundles] == [1]
        assert [await other.merge(data) for data, _ in bundles] == [0]
        (judged,) = await other.windows("minute")
        assert judged.window.events == 80
        assert [bundle async for bundle in one.export(bundles[-1][1])] == []
        key = WindowKey("minute", int(NOW - 60), "v", "")
        assert (await other.window(key)) is not None
        assert await other.window(key._replace(start=0)) is None


async def test_a_baseline_of_pictures_and_of_a_period(tmp_path: Path) -> None:
    import tiny_models

    from aiohooks.deployment import Deployment
    from aiohooks.monitors.drift.baseline import DriftBaseline

    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 100, (64, 64, 3), np.uint8) for _ in range(120)]
    done: list[int] = []
    settings: dict[str, Any] = {"components": 4, "random_features": 8, "windows": 200}
    path = tiny_models.save(tiny_models.classifier(xai=True), tmp_path / "model.xml")
    async with Deployment.load(path) as deployment:
        fitted = await DriftBaseline.fit(
            deployment, pictures, progress=lambda what, number, total: done.append(number), **settings
        )
        assert done == list(range(1, 121))
        assert set(fitted.edges) >= {"brightness", "sharpness", "width", "height"}
        async with DriftMonitor(fitted, tmp_path / "drift.db", actions=(), keep_events=True) as monitor:
            deployment.attach(monitor)
            await deployment.infer_many(pictures[:100])
            (judged,) = await monitor.windows("week")
            assert (judged.window.events, judged.decision.drifted(0.01)) == (100, False)
            again = await anyio.to_thread.run_sync(
                lambda: DriftBaseline.fit_period(tmp_path / "drift.db", 0, 1e12, **settings)
            )
            assert set(again.edges) == set(fitted.edges)
            assert not again.decide(
                again.summarise(again.project(kept_events(tmp_path / "drift.db", 0, 1e12)))
            ).drifted(0.01)
            darker = [image // 2 for image in pictures[:100]]
            await deployment.infer_many(darker)
            (judged,) = await monitor.windows("week")
            assert judged.decision.drifted(0.001)
    with pytest.raises(SpecError, match=r"drift\.db: no events are kept of that period; .*keep_events=True"):
        kept_events(tmp_path / "drift.db", 0, 1000)


async def test_machines_share_what_they_saw_through_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohooks.delivery.item import Item
    from aiohooks.delivery.spool import Spool

    rng = np.random.default_rng(0)
    put, merged = anyio.create_memory_object_stream[int](10)
    async with (
        opened(tmp_path / "edge", name="edge", model_version="v") as edge,
        opened(tmp_path / "hub", name="hub", model_version="v") as hub,
        Spool(str(tmp_path / "spool")).open() as store,
        anyio.create_task_group() as tasks,
        put,
        merged,
    ):
        merge = hub.merge

        async def noted(data: bytes) -> int:
            changed = await merge(data)
            await put.send(changed)
            return changed

        monkeypatch.setattr(hub, "merge", noted)
        await store.put(Item.new(b"something else", source="stranger"))
        await edge.publish(features(rng, 30), timestamps=NOW)
        await hub.publish(features(rng, 30), timestamps=NOW)
        tasks.start_soon(lambda: send_changes(edge, store, every=0.01))
        tasks.start_soon(take_changes, hub, store)
        for count in (60, 70):
            with anyio.fail_after(10):
                assert await merged.receive() == 1
            assert sum(each.window.events for each in await hub.windows("hour")) == count
            await edge.publish(features(rng, 10), timestamps=NOW)
        assert (await store.status()).dead == 1
        tasks.cancel_scope.cancel()
    async with opened(tmp_path / "edge", name="edge") as edge:
        assert await edge.sent() > 0


async def test_the_alarm_that_looks_at_every_inference(tmp_path: Path) -> None:
    alerts: list[DriftAlert] = []

    async def note(alert: DriftAlert) -> None:
        alerts.append(alert)

    async with opened(tmp_path, actions=[note], alarm_rate=1.0, name="m") as monitor:
        trigger = DriftTrigger("m", by="stream")

        async def watch(count: int, shift: float) -> None:
            for i in range(count):
                await monitor.observe(frame(i), prediction(i, shift=shift))
            await monitor.flush()

        await watch(60, 0.0)
        assert not trigger.evaluate(frame(), prediction())
        await watch(60, 2.0)
        assert trigger.evaluate(frame(), prediction()).fired
        assert monitor.is_drifting
        assert monitor.alarmed == set()
        await watch(200, 0.0)
        assert not trigger.evaluate(frame(), prediction())
        assert await monitor.alerts() == [msgspec.structs.replace(alert, monitor="") for alert in alerts]
    assert [(alert.rule, alert.kind) for alert in alerts] == [
        ("stream alarm", "critical"),
        ("stream alarm", "recovered"),
    ]


async def test_true_labels_come_later_and_count_once(tmp_path: Path) -> None:
    count = 12
    sure = np.eye(3)[np.arange(count) % 3]
    rows = {
        "features": features(np.random.default_rng(0), count), "probabilities": sure, "id": list(range(count)), "target": ["cat"] * 2 + [None] * 10,
        "timestamp": NOW - 86400 * np.arange(count), "segment": ["left"] * 6 + ["right"] * 6,
    }  # fmt: skip
    rule = DriftRule(name="right", metric="accuracy", side="below", critical=0.5, bin="week", min_events=2)
    async with opened(tmp_path, labels=LABELS, rules=[rule], retention=DriftRetention(minutes=3 * 86400)) as monitor:
        await monitor.publish(rows)
        truth: dict[str | int, str | int] = {i: LABELS[i % 3] if i < 9 else "fish" for i in range(count)}
        assert await monitor.publish_truth(truth | {99: "cat"}) == 10, "two had one"
        assert await monitor.publish_truth(truth) == 0
        windows = [each.window for each in await monitor.windows("week", together=False)]
        assert sum(each.truth.total() for each in windows) == sum(each.events for each in windows) == count
        whole = await monitor.windows("week")
        assert [each.window.accuracy for each in whole] == [0.0, 1.0, 0.5]
        assert whole[0].window.truth == {("fish", "cat"): 1, ("fish", "dog"): 1, ("fish", "bird"): 1}
        alert, over = await monitor.evaluate()
        assert (alert.start, alert.value, alert.events) == (whole[0].window.key.start, 0.0, 3)
        assert (over.kind, over.value) == ("recovered", 1.0)
        assert (await monitor.publish(rows)).duplicates == count


def test_the_trigger_is_saved_with_the_name_of_its_monitor() -> None:
    hook = PostInferenceHook(trigger=DriftTrigger("line 4", by="stream") & AlwaysTrigger(), action=LogAction())
    assert hooks_from_json(hooks_to_json([hook])) == (hook,)
    with pytest.raises(SpecError, match=r"DriftTrigger\.by"):
        DriftTrigger(by="chance")  # type: ignore[arg-type]


async def test_frames_from_another_age_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as monitor:
        for at in (12.0, NOW + 2 * 86400, NOW):
            await monitor.observe(frame(at=at), prediction())
        await monitor.flush()
        assert (monitor.counts.accepted, monitor.counts.refused) == (1, 2)
        assert monitor.counts.problems == {"timestamp: out of range": 2}


async def test_many_windows_are_looked_at_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    evaluate = ledger.evaluate

    def counted(*arguments: Any) -> Any:
        alerts, more = evaluate(*arguments)
        calls.append(more)
        return alerts, more

    monkeypatch.setattr(ledger, "evaluate", counted)
    rule = DriftRule(name="few", metric="events", side="below", critical=1.5)
    async with opened(tmp_path, rules=[rule], lateness=3600.0) as monitor:
        await monitor.publish(features(np.random.default_rng(0), 70), timestamps=NOW - 3600 * np.arange(1, 71))
        calls.clear()
        assert len(await monitor.evaluate()) == 1
        assert calls == [True, True, False]


async def test_a_damaged_window_stops_no_monitor(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rule = DriftRule(name="hours")
    async with opened(tmp_path, rules=[rule]) as monitor:
        await monitor.publish(features(np.random.default_rng(0), 50), timestamps=NOW - 7200)
    import sqlite3

    with sqlite3.connect(tmp_path / "drift.db") as connection:
        connection.execute("UPDATE windows SET summary = x'00'")
    connection.close()

    async def run(clock: Callable[[], float]) -> None:
        async with opened(tmp_path, rules=[rule], clock=clock, flush_interval=1.0, lateness=0.0) as monitor:
            await anyio.sleep(70)
            await monitor.observe(frame(), prediction())
            await anyio.sleep(70)
            assert monitor.counts.written == 1

    await anyio.to_thread.run_sync(virtually, run)
    assert "no summary of a window" in caplog.text


def test_examples_of_more_segments_than_are_kept_track_of() -> None:
    admission = Admission()
    drawn = [admission.draw(NOW, f"segment {i}", 1.0) is not None for i in range(1100)]
    assert drawn == [True] * 1024 + [False] * 76
    assert admission.draw(NOW + 60, "segment 0", 1.0) is not None
    assert [admission.draw(NOW + 60, "segment 1", 1.0) for _ in range(200)].count(None) > 150


async def test_the_file_tells_all_by_itself(tmp_path: Path) -> None:
    hour = start_of(NOW, "hour") - 3600
    async with opened(tmp_path, rules=[DriftRule(name="all")]) as monitor:
        await monitor.publish(features(np.random.default_rng(0), 50, shift=3), timestamps=hour)
        alerts = await monitor.evaluate()
        store = DriftStore.read(tmp_path / "drift.db")  # while the monitor has it open
        found = stored_baseline(store)
        assert found.identity == baseline().identity
        (window,) = store.windows("day")
        assert found.decide(window.summary) == baseline().decide(window.summary)
        assert stored_alerts(store, 0, 1e12) == [msgspec.structs.replace(alert, monitor="") for alert in alerts]
        store.close()
    empty = open_store(tmp_path / "empty.db")
    with pytest.raises(LoadError, match="there is no baseline in it"):
        stored_baseline(empty)
    empty.close()


async def test_texts_that_cannot_be_written_are_wrong_and_nothing_stops(tmp_path: Path) -> None:
    bad = "\ud800x"
    rows = {"features": np.zeros((6, WIDTH)), "id": list("abcdef"), "probabilities": np.eye(3)[[0] * 6]}
    for i, name in enumerate(("segment", "model_version", "target", "image", "id")):
        rows[name] = ["g" if each == i else None for each in range(6)] if name != "id" else list("abcdef")
        rows[name][i] = bad
    async with opened(tmp_path, segment=lambda frame, _: bad) as monitor:
        assert (await monitor.publish(rows)).problems == {
            f"{name}: wrong type": 1 for name in ("segment", "model_version", "target", "image", "id")
        }
        await monitor.observe(frame(), prediction())
        assert await monitor.publish_truth({bad: "cat", "b": bad, "c": "cat"}) == 1
        await monitor.flush()
        assert monitor.counts.written == 7
        assert monitor.counts.problems["segment: wrong type"] == 2
    for settings in ({"segment": bad}, {"model_version": bad}):
        with pytest.raises(SpecError, match="cannot be written"):
            opened(tmp_path, **settings)


async def test_a_damaged_window_stops_neither_writing_nor_rules(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    rules = [DriftRule(name="few", metric="events", side="below", critical=5.0, bin="minute")]
    async with opened(tmp_path, rules=rules) as monitor:
        for minute in (1, 2, 3):
            await monitor.publish(features(rng, 3), timestamps=[NOW - minute * 60] * 3)
        await monitor.flush()
        await monitor._thread.run(
            monitor._ledger.store.database.connection.execute,
            f"UPDATE windows SET summary = x'00' WHERE start = {int(NOW) - 120}",
        )
        alerts = await monitor.evaluate()
        assert [each.start for each in alerts] == [NOW - 180]
        await monitor.publish(features(rng, 2), timestamps=[NOW - 60, NOW - 120])
        await monitor.flush()
        assert [each.window.events for each in await monitor.windows("minute")] == [3, 1, 4]
        assert monitor.counts.damaged >= 1
    assert caplog.text.count("is damaged") == 1


async def test_what_fails_at_the_end_is_counted_as_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as monitor:
        await monitor.publish(np.zeros((5, WIDTH)))
        monkeypatch.setattr(monitor._ledger.store, "add", lambda *_, **__: 1 / 0)
    assert (monitor.counts.lost, monitor.counts.accepted, monitor.counts.unwritten) == (5, 0, 0)
    assert accounted(monitor)


async def test_an_action_that_cannot_begin_fails_the_opening(tmp_path: Path) -> None:
    class Action:
        async def __call__(self, _alert: DriftAlert) -> None:
            raise AssertionError

        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[Any]:
            raise OSError("no such pager")
            yield self

    monitor = opened(tmp_path, actions=(Action(),))
    with pytest.raises(DeploymentError, match="Action cannot begin: OSError: no such pager"):
        await monitor.open()
    async with opened(tmp_path):
        pass


async def test_events_count_once_where_labels_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, labels=LABELS, rules=[]) as monitor:
        await monitor.publish(np.zeros((5, WIDTH)))

        def full(*_: Any) -> None:
            raise DeliveryError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(DriftStore, "labels", property(None, full))
            with pytest.raises(DeliveryError):
                await monitor.flush()
        await monitor.flush()
        assert [each.window.events for each in await monitor.windows("minute")] == [5]
    store = DriftStore.read(tmp_path / "drift.db")
    assert store.labels == list(LABELS)
    store.close()


async def test_alerts_come_again_until_actions_have_ended(tmp_path: Path) -> None:
    begun = anyio.Event()
    given: list[float] = []

    async def forever(_alert: DriftAlert) -> None:
        begun.set()
        await anyio.sleep_forever()

    async def quick(alert: DriftAlert) -> None:
        given.append(alert.start)

    rules = [DriftRule(name="few", metric="events", side="below", critical=5.0)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor_module, "CLOSE_SECONDS", 0.01)
        async with opened(tmp_path, rules=rules, actions=(forever,)) as monitor:
            await monitor.publish(np.zeros((1, WIDTH)), timestamps=[NOW - 7200])
            with anyio.CancelScope() as scope:
                scope.cancel()
                await monitor.evaluate()
            assert len(await monitor.evaluate()) == 1, "what was found for a caller that was cancelled"
            await begun.wait()
            assert await monitor.evaluate() == [], "it is with the actions"
    async with opened(tmp_path, rules=rules, actions=(quick,)) as monitor:
        await monitor.evaluate()
    assert given == [NOW - 7200], "the action of the run before had not ended"
    async with opened(tmp_path, rules=rules, actions=(quick,)) as monitor:
        await monitor.evaluate()
    assert given == [NOW - 7200]


@pytest.mark.parametrize("native", [False, True])
async def test_callers_that_are_cancelled_take_nothing_out_of_the_counts(tmp_path: Path, native: bool) -> None:
    async def cancelled(call: Any, busy: anyio.Event) -> None:
        task = asyncio.ensure_future(call)
        await busy.wait()
        task.cancel()
        free.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    async with opened(tmp_path) as monitor:
        ledger_, loop = monitor._ledger, asyncio.get_running_loop()
        for name, call in (
            ("observe", lambda: monitor.windows("hour")),
            ("publish", lambda: monitor.publish(np.zeros((7, WIDTH)))),
        ):
            busy, free = anyio.Event(), threading.Event()
            real = getattr(ledger_, name)

            def slow(*args: Any, real: Any = real, busy: Any = busy, free: Any = free) -> Any:
                found = real(*args)
                loop.call_soon_threadsafe(busy.set)
                assert free.wait(5)
                return found

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(ledger_, name, slow)
                for i in range(10):
                    await monitor.observe(frame(i), prediction(i))
                if native:
                    await cancelled(call(), busy)
                else:
                    with anyio.CancelScope() as scope:
                        async with anyio.create_task_group() as tasks:
                            tasks.start_soon(call)
                            await busy.wait()
                            scope.cancel()
                            free.set()
            await monitor.flush()
            assert accounted(monitor)
            assert monitor.counts.lost == 0
        with anyio.CancelScope() as scope:
            scope.cancel()
            await monitor.observe(frame(image=np.zeros((500, 500, 3), np.uint8)), prediction())
        assert accounted(monitor)
    assert monitor.counts.written == 7 + monitor.counts.observed


async def test_segments_that_cannot_be_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = iter([KeyError("x"), KeyError("y"), None, "left", 7, "x" * 5000])

    def segment(_frame: Frame, _prediction: Prediction) -> Any:
        if isinstance(each := next(given), Exception):
            raise each
        return each

    async with opened(tmp_path, segment=segment) as monitor:
        for i in range(6):
            await monitor.observe(frame(i), prediction(i))
        found = {
            each.window.key.segment: each.window.events for each in await monitor.windows("minute", together=False)
        }
        assert found == {"": 3, "left": 1, "7": 1, "x" * 256: 1}
        assert monitor.counts.problems == {"segment: wrong type": 2}
        assert accounted(monitor)
    assert caplog.text.count("KeyError") >= 1
    async with opened(tmp_path / "fixed", segment="x" * 5000) as monitor:
        await monitor.observe(frame(), prediction())
        (judged,) = await monitor.windows("minute", together=False)
        assert judged.window.key.segment == "x" * 256


async def test_one_monitor_at_a_time_writes_to_a_file(tmp_path: Path) -> None:
    async with opened(tmp_path, name="a"):
        with pytest.raises(DeliveryError, match=r"drift\.db: it is in use by process \d+"):
            await opened(tmp_path, name="b").open()
    async with opened(tmp_path, name="b"):
        pass


async def test_a_file_that_may_not_hold_the_baseline_and_the_ids(tmp_path: Path) -> None:
    small = DriftRetention(max_bytes=2_000_000)
    with pytest.raises(SpecError, match="max_bytes=2,000,000 leaves no room for windows"):
        await opened(tmp_path, retention=small).open()
    async with opened(tmp_path, retention=small, horizon=1000):
        pass


async def test_events_that_are_too_old_for_a_rule_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(tmp_path, rules=[DriftRule(name="hours"), DriftRule(name="weeks", bin="week")]) as monitor:
        days = np.array([0, 34, 40, 500])
        assert (await monitor.publish(np.zeros((4, WIDTH)), timestamps=NOW - days * 86400)).unjudged == 2
    assert "2 events are too old for a rule" in caplog.text


@pytest.mark.parametrize("column", [None, 3.0, "cat", np.array(3.0)])
async def test_a_column_that_is_one_value(tmp_path: Path, column: Any) -> None:
    async with opened(tmp_path) as monitor:
        with pytest.raises(SpecError, match="column 'segment' is one value"):
            await monitor.publish({"features": np.zeros((2, WIDTH)), "segment": column})
