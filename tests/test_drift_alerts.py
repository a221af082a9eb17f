"""What is done with alerts, and how that is counted."""

import logging
from collections.abc import Callable
from typing import Any

import anyio
import msgspec
import pytest
from faulty_server import Fault, FaultyServer
from virtual_clock import run_virtual

from aiohooks.errors import ActionError, SpecError
from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.alert_actions import AlertWebhook, LogAlert
from aiohooks.monitors.drift.alert_runner import MOST_WAITING, AlertRunner

pytestmark = pytest.mark.anyio


def alert(number: int = 0, **changes: Any) -> DriftAlert:
    fields = {
        "rule": f"rule {number}", "kind": "critical", "metric": "drift", "value": 0.999, "threshold": None, "p_value": 0.001, "bin": "hour",
        "start": 1_795_521_600, "version": "v2", "segment": "left", "events": 1200, "at": 1_795_525_300.0,
    }  # fmt: skip
    return DriftAlert(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"p_value": 1e-300}, "critical: the window is unlike the baseline, p < 1e-6; 1,200 events, hour 2026-11-24 12:00 – 13:00 UTC"),
        ({"kind": "recovered", "p_value": 0.31}, "recovered: the window is as usual again, p = 0.31; "),
        ({"metric": "psi", "value": 0.31, "threshold": 0.25, "p_value": 0.002}, "critical: psi 0.31, above 0.25, p = 0.002; "),
        ({"metric": "events", "value": 3.0, "threshold": 10.0, "p_value": None}, "critical: events 3, below 10; "),
        ({"metric": "mean of brightness", "value": -0.2, "threshold": None, "p_value": 0.004, "earlier": 24},
         "critical: mean of brightness -0.2 against the hour 24 hours before, p = 0.004; "),
        ({"metric": "stream", "bin": "minute", "p_value": None}, "critical: the latest inferences are unlike the baseline; "),
        ({"bin": "day", "is_late": True}, "1,200 late events, day 2026-11-24 12:00 – 2026-11-25 12:00 UTC, model v2, segment left"),
    ],
)  # fmt: skip
def test_what_an_alert_says(changes: dict[str, Any], said: str) -> None:
    assert said in alert(**changes).message


async def act(actions: Any, alerts: list[DriftAlert], *, timeout: float = 10.0) -> AlertRunner:
    runner = AlertRunner(actions, timeout)
    for one in alerts:
        runner.put(one)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run)
        await runner.drained()
        tasks.cancel_scope.cancel()
    counts = runner.counts
    ended = counts.done + counts.failed + counts.timed_out + counts.dropped + counts.cancelled
    assert counts.given == ended == len(alerts) * len(actions)
    return runner


async def test_a_webhook_gets_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER_TOKEN", "hunter22")
    async with FaultyServer(["ok", "ok"]).running() as server:
        hook = AlertWebhook(server.url, headers={"Authorization": "Bearer ${PAGER_TOKEN}"})
        assert await hook(alert()) == 200
        runner = await act([hook], [alert(1)])
        assert runner.counts.done == 1
    bodies = [msgspec.json.decode(body) for body in server.bodies]
    assert [body["rule"] for body in bodies] == ["rule 0", "rule 1"]
    assert (bodies[0]["p_value"], bodies[0]["segment"], bodies[0]["start"]) == (0.001, "left", 1_795_521_600)
    assert bodies[0]["message"].startswith(
        "rule 0: critical: the window is unlike the baseline, p = 0.001; 1,200 events, hour 2026-11-24 12:00"
    )
    assert "hunter22" not in repr(hook)


@pytest.mark.parametrize(
    ("faults", "done"),
    [(["503", "reset", "429", "ok"], 1), (["422", "ok"], 0), (["500", "ok"], 0), (["503"] * 4 + ["ok"], 0)],
)
async def test_what_may_pass_is_tried_again(faults: list[Fault], done: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohooks.backoff import Backoff
    from aiohooks.monitors.drift import alert_runner

    monkeypatch.setattr(alert_runner, "_BACKOFF", Backoff(0.001, 0.002))
    async with FaultyServer(faults).running() as server:
        runner = await act([AlertWebhook(server.url)], [alert()])
        assert (runner.counts.done, runner.counts.failed) == (done, 1 - done)
        assert server.requests == {("503", 1): 4, ("422", 0): 1, ("500", 0): 1, ("503", 0): 4}[faults[0], done]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": "ftp://host"}, "AlertWebhook.url must be http://host/"),
        ({"url": "https://host/?token=hunter22"}, "AlertWebhook.url must not hold the secret 'token' itself"),
        (
            {"url": "https://host", "headers": {"X-Key": "hunter22"}},
            "AlertWebhook.headers.*must not hold the secret itself",
        ),
        ({"url": "https://host", "method": "GET"}, "AlertWebhook.method"),
        ({"url": "https://host", "timeout": 0}, "AlertWebhook.timeout"),
    ],
)
def test_webhooks_that_make_no_sense(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        AlertWebhook(**fields)
    assert "hunter22" not in str(caught.value)


async def test_the_log_says_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aiohooks.monitors")
    for kind in ("critical", "warning", "recovered"):
        await LogAlert()(alert(kind=kind, is_late=kind == "warning"))
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING", "INFO"]
    assert " late events, " in caplog.records[1].message


async def test_one_action_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def fails(_alert: DriftAlert) -> None:
        raise ValueError("broken")

    async def note(one: DriftAlert) -> None:
        seen.append(one.rule)

    runner = await act([fails, note], [alert(0), alert(1)])
    assert seen == ["rule 0", "rule 1"]
    assert (runner.counts.failed, runner.counts.done) == (2, 2)
    assert "rule 0: an action failed: ValueError: broken" in caplog.text


def virtually(test: Callable[[], Any]) -> None:
    run_virtual(test)


def test_an_action_has_its_time() -> None:
    async def never(_alert: DriftAlert) -> None:
        await anyio.sleep_forever()

    async def main() -> None:
        runner = await act([never], [alert(), alert()], timeout=30.0)
        assert runner.counts.timed_out == 2

    virtually(main)


async def test_of_too_many_the_oldest_are_dropped() -> None:
    seen: list[str] = []

    async def note(one: DriftAlert) -> None:
        seen.append(one.rule)

    runner = await act([note], [alert(i) for i in range(MOST_WAITING + 3)])
    assert runner.counts.dropped == 3
    assert seen[0] == "rule 3"


async def test_what_is_cancelled_is_counted() -> None:
    began = anyio.Event()

    async def never(_alert: DriftAlert) -> None:
        began.set()
        await anyio.sleep_forever()

    runner = AlertRunner([never, never], 10.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run)
        for i in range(3):
            runner.put(alert(i))
        await began.wait()
        tasks.cancel_scope.cancel()
    assert (runner.counts.given, runner.counts.cancelled) == (6, 6)
    with anyio.fail_after(20):
        await runner.drained()


async def test_an_error_that_cannot_pass_is_not_tried_again() -> None:
    tries = 0

    async def fails(_alert: DriftAlert) -> None:
        nonlocal tries
        tries += 1
        raise ActionError("no")

    await act([fails], [alert()])
    assert tries == 1
