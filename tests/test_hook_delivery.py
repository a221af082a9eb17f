"""Hooks whose events are kept until they are delivered."""

import dataclasses
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import numpy as np
import pytest
import tiny_models
from faulty_server import Fault, FaultyServer
from hook_fixtures import frame, prediction, running
from memory_store import MemorySpool, MemoryStore
from virtual_clock import run_virtual

from aiohooks.delivery.delivery import Delivery
from aiohooks.delivery.item import Item
from aiohooks.delivery.nats import NatsSpool
from aiohooks.delivery.spool import Spool
from aiohooks.deployment import Deployment
from aiohooks.errors import ActionError, DeliveryError, SpecError
from aiohooks.frame import Frame
from aiohooks.hooks import hook_delivery
from aiohooks.hooks.actions import HttpRequestAction, LogAction
from aiohooks.hooks.deliver import deliver
from aiohooks.hooks.event import HookEvent
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.hook_delivery import Spooled
from aiohooks.hooks.outcome import OutcomeFeed, OutcomeKind
from aiohooks.hooks.running_hook import RunningHook
from aiohooks.hooks.saved import hooks_from_json, hooks_to_json
from aiohooks.hooks.triggers import AlwaysTrigger
from aiohooks.prediction import Prediction
from aiohooks.rate import Rate

RED = tiny_models.plain(red=255)


class Sink:
    """An action that notes what it was shown, and fails as it is told to."""

    def __init__(self, *fails: Exception) -> None:
        self.fails = list(fails)
        self.events: list[HookEvent] = []
        self.log: list[str] = []

    async def __call__(self, event: HookEvent) -> Any:
        await anyio.lowlevel.checkpoint()
        if self.fails:
            raise self.fails.pop(0)
        self.events.append(event)
        return event.frame.index


def hook(action: Any, delivery: Any, **options: Any) -> PostInferenceHook:
    return PostInferenceHook(trigger=AlwaysTrigger(), action=action, name="kept", delivery=delivery, **options)


def test_an_event_is_done_once_it_is_kept_and_delivered_later() -> None:
    async def main() -> None:
        sink, spool = Sink(ActionError("down", may_pass=True)), MemorySpool()
        async with running(hook(sink, spool)) as (run, outcomes):
            await run.see(frame(5), prediction())
            await run.drained()
            assert run.counts.done == 1
            assert not sink.events
        (event,) = sink.events
        assert (event.frame.name, event.frame.index, event.hook) == ("frame 5", 5, "kept")
        np.testing.assert_array_equal(event.frame.image, frame(5).image)
        np.testing.assert_array_equal(event.prediction.scores, prediction().scores)
        done, delivered = outcomes
        assert (done.kind, done.value) == (OutcomeKind.DONE, Spooled(event.key))
        assert len(event.key) == 32
        assert (delivered.kind, delivered.value, delivered.frame_name, delivered.frame_index) == (
            OutcomeKind.DELIVERED, 5, "frame 5", 5,
        )  # fmt: skip
        assert (delivered.score, delivered.error) == (done.score, None)
        counts = run.counts
        assert (counts.seen, counts.fired, counts.done) == (1, 1, 1)
        assert run.delivery is not None
        status = await run.delivery.status()
        assert (status.accepted, status.delivered, status.ready) == (1, 1, 0)
        assert (run.delivery.counts.attempts, run.delivery.counts.retried) == (2, 1)

    run_virtual(main)


@pytest.mark.parametrize("masks", [None, np.zeros((20, 480, 640), np.uint8)], ids=["no masks", "masks"])
def test_what_takes_long_to_inflate_is_not_done_on_the_loop(monkeypatch: Any, masks: Any) -> None:
    decoded_on: list[threading.Thread] = []
    decode = hook_delivery.decode_event

    def watched(*arguments: Any, **more: Any) -> HookEvent:
        decoded_on.append(threading.current_thread())
        return decode(*arguments, **more)

    async def main() -> None:
        sink = Sink()
        async with running(hook(sink, MemorySpool())) as (run, _):
            twenty = Prediction.detection((480, 640), ["cat"], [[0, 0, 9, 9]] * 20, [0.5] * 20, ["cat"] * 20)
            shown = Frame(np.zeros((480, 640, 3), np.uint8), "\udcff.png")
            await run.see(shown, dataclasses.replace(twenty, masks=masks))
        assert [event.frame.name for event in sink.events] == [shown.name]

    monkeypatch.setattr(hook_delivery, "decode_event", watched)
    anyio.run(main)
    assert [thread is threading.main_thread() for thread in decoded_on] == [masks is None]


def test_what_can_never_be_delivered_is_told_of() -> None:
    async def main() -> None:
        spool = MemorySpool()
        async with running(hook(Sink(ValueError("a bug"), ValueError("a bug")), spool)) as (run, outcomes):
            await run.see(frame(3), prediction())
            await run.drained()
            await run.delivered()
            await spool.store.put(Item("x", "elsewhere", 0.0, b"nonsense"))
        assert [one.kind for one in outcomes] == ["done", "delivery_failed", "delivery_failed"]
        assert [(one.frame_name, one.frame_index) for one in outcomes[1:]] == [("frame 3", 3), ("elsewhere", 0)]
        assert str(outcomes[1].error) == "ValueError: a bug"
        assert "this is not an event" in str(outcomes[2].error)
        assert len(spool.store.dead) == 2

    run_virtual(main)


def test_what_the_store_drops_is_dropped_and_counted_as_that() -> None:
    async def main() -> None:
        sink, spool = Sink(), MemorySpool(MemoryStore(accepts=False))
        async with running(hook(sink, spool)) as (run, outcomes):
            await run.see(frame(), prediction())
        assert (run.counts.fired, run.counts.dropped, run.counts.done) == (1, 1, 0)
        assert [one.kind for one in outcomes] == ["dropped"]
        assert not sink.events

    run_virtual(main)


def test_an_event_that_cannot_be_kept_has_failed() -> None:
    async def main() -> None:
        flat = Frame(np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (1, 2**20 + 1, 3)), owned=True)
        async with running(hook(Sink(), MemorySpool())) as (run, outcomes):
            await run.see(flat, prediction())
        assert run.counts.failed == 1
        assert isinstance(outcomes[0].error, DeliveryError)

    run_virtual(main)


def test_what_is_left_is_delivered_by_the_next_run() -> None:
    async def main() -> None:
        spool, sink = MemorySpool(), Sink(*[ActionError("down", may_pass=True)] * 2)
        async with running(hook(sink, spool), deliver=False) as (run, _):
            for index in range(3):
                await run.see(frame(index), prediction())
        assert run.delivery is not None
        status = await run.delivery.status()
        assert (run.counts.done, status.accepted) == (3, 3)
        left = 3 - len(sink.events)
        assert status.ready + status.delayed + status.leased == left
        async with running(hook(sink, spool)):
            pass
        assert sorted(event.frame.index for event in sink.events) == [0, 1, 2]
        assert spool.opened == 2

    run_virtual(main)


def test_order_is_kept_from_the_frames_to_the_sink() -> None:
    async def main() -> None:
        down = ActionError("down", may_pass=True)
        spool, sink = MemorySpool(), Sink(down, down, down)
        async with running(hook(sink, Delivery(spool, ordered=True))) as (run, _):
            for index in range(30):
                plain = frame(index)
                one = Frame(plain.image, "camera", index, owned=True, encoded=None if index % 3 else b"a picture")
                await run.see(one, prediction())
        assert [event.frame.index for event in sink.events] == list(range(30))

    run_virtual(main)


def test_resources_of_the_action_are_there_while_it_delivers() -> None:
    class Connected(Sink):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[Callable[[HookEvent], Any]]:
            self.log.append("open")
            yield self.send
            self.log.append("close")

        async def send(self, event: HookEvent) -> None:
            self.log.append("send")

    async def main() -> None:
        sink = Connected()
        async with running(hook(sink, MemorySpool())) as (run, _):
            await run.see(frame(), prediction())
        assert sink.log == ["open", "send", "close"]

    run_virtual(main)


def test_an_action_may_stream_what_it_does_while_it_delivers() -> None:
    async def steps(event: HookEvent) -> AsyncIterator[str]:
        yield "one"
        yield "two"

    async def main() -> None:
        async with running(hook(steps, MemorySpool())) as (run, outcomes):
            await run.see(frame(), prediction())
        assert [(one.kind, one.value) for one in outcomes if one.kind != "done"] == [
            ("yielded", "one"), ("yielded", "two"), ("delivered", None),
        ]  # fmt: skip

    run_virtual(main)


def test_a_full_store_that_blocks_is_waited_for_without_a_time_limit() -> None:
    class Full(MemoryStore):
        async def put(self, item: Item) -> bool:
            await anyio.sleep(1000)
            return await super().put(item)

    async def main() -> None:
        async with running(hook(Sink(), MemorySpool(Full()), timeout=5)) as (run, _):
            await run.see(frame(), prediction())
        assert run.counts.done == 1

    run_virtual(main)


@pytest.mark.anyio
async def test_a_store_that_cannot_be_opened_fails_the_events_and_says_so(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "file").write_text("mine")
    async with running(hook(Sink(), Spool(str(tmp_path)))) as (run, outcomes):
        await run.see(frame(), prediction())
        assert run.delivery is not None
        with pytest.raises(DeliveryError, match=r"could not be opened: .*it holds something else"):
            await run.delivery.status()
    assert run.counts.failed == 1
    assert "it holds something else" in str(outcomes[0].error)


def test_without_a_delivery_a_hook_has_none() -> None:
    assert RunningHook(PostInferenceHook(trigger=AlwaysTrigger(), action=LogAction()), OutcomeFeed()).delivery is None


# Settings.


def test_a_store_alone_is_a_delivery_with_default_settings() -> None:
    assert hook(LogAction(), Spool("x")) == hook(LogAction(), Delivery(Spool("x")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spool": "folder"}, r"Delivery.spool: it must be a store such as Spool\(\"folder\"\), got 'folder'"),
        ({"spool": Spool}, "Delivery.spool"),
        ({"max_concurrency": -1}, "Delivery.max_concurrency"),
        ({"timeout": float("inf")}, "Delivery.timeout: it must be finite"),
        ({"first_backoff": 0}, "Delivery.first_backoff"),
        ({"first_backoff": 10, "longest_backoff": 9}, "Delivery.longest_backoff: it must not be shorter"),
    ],
)
def test_wrong_settings_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Delivery(**{"spool": Spool("x")} | options)


def test_what_is_no_store_cannot_be_a_hooks_delivery() -> None:
    with pytest.raises(SpecError, match="must be a store"):
        hook(LogAction(), "folder")


def test_it_is_saved_and_read_back() -> None:
    hooks = (
        hook(LogAction(), Spool("x", max_bytes=10_000_000)),
        hook(LogAction(), Delivery(Spool("y"), max_concurrency=8, rate=Rate(5, per=2.0), ordered=True)),
        hook(LogAction(), NatsSpool(("nats://a:4222", "nats://b:4222"), credentials_variable="NATS_LOGIN")),
    )
    data = json.loads(json.dumps(hooks_to_json(hooks)))
    assert data["hooks"][0]["delivery"] == {"spool": {"type": "Spool", "folder": "x", "max_bytes": 10_000_000}}
    assert data["hooks"][1]["delivery"] == {
        "spool": {"type": "Spool", "folder": "y"},
        "max_concurrency": 8,
        "rate": {"count": 5, "per": 2.0},
        "ordered": True,
    }
    assert data["hooks"][2]["delivery"]["spool"] == {
        "type": "NatsSpool",
        "servers": ["nats://a:4222", "nats://b:4222"],
        "credentials_variable": "NATS_LOGIN",
    }
    assert hooks_from_json(data) == hooks


@pytest.mark.parametrize(
    ("delivery", "message"),
    [
        ({}, r"\$\.hooks\[0\]\.delivery: the field 'spool' is missing"),
        (
            {"spool": {"folder": "x"}},
            r"\$\.hooks\[0\]\.delivery\.spool: the field 'type' is missing; it names the store",
        ),
        ({"spool": {"type": "Tape"}}, r"\$\.hooks\[0\]\.delivery\.spool\.type: unknown store 'Tape'"),
        ({"spool": {"type": "Spool", "folder": 1}}, r"\$\.hooks\[0\]\.delivery\.spool\.folder: "),
        ({"spool": {"type": "Spool", "folder": "x"}, "speed": 1}, "unknown field 'speed'"),
    ],
)
def test_what_is_wrong_in_a_saved_delivery_is_said_with_its_place(delivery: Any, message: str) -> None:
    data = {"version": 1, "hooks": [{"trigger": {"type": "AlwaysTrigger"}, "action": {"type": "LogAction"}}]}
    data["hooks"][0]["delivery"] = delivery  # type: ignore[index]
    with pytest.raises(SpecError, match=message):
        hooks_from_json(data)


def test_a_store_of_somebodys_own_cannot_be_saved() -> None:
    with pytest.raises(SpecError, match=r"\$\.hooks\[0\]\.delivery\.spool: the store MemorySpool cannot be saved"):
        hooks_to_json([hook(LogAction(), MemorySpool())])


# A deployment, a spool on disk and a server on loopback.


def posting(server: FaultyServer, **options: Any) -> HttpRequestAction:
    return HttpRequestAction(
        server.url, "POST", include_prediction_data=True, timeout=0.5, log_level="debug", **options
    )


def quick(folder: Path, **options: Any) -> Delivery:
    return Delivery(Spool(str(folder)), first_backoff=0.01, longest_backoff=0.05, **options)


@pytest.mark.anyio
async def test_every_frame_is_delivered_through_every_kind_of_fault(tmp_path: Path) -> None:
    faults: list[Fault] = [
        "500",
        "503",
        "429",
        "hang",
        "half-close",
        "half-answer",
        "garbage",
        "reset",
        "reset early",
        "slow",
    ]
    async with FaultyServer(faults).running() as server:
        async with Deployment.load(tiny_models.classifier()) as deployment:
            outcomes = deployment.outcomes()
            run = deployment.add_hook(hook(posting(server), quick(tmp_path, max_concurrency=2)))
            for _ in range(12):
                await deployment.infer(RED)
        kinds = [outcome.kind async for outcome in outcomes]
    assert len(server.accepted) == 12
    assert set(server.accepted) == set(server.received)
    assert set(server.accepted.values()) == {1}
    assert all(len(key) == 32 for key in server.accepted)
    assert (
        sum(server.received.values()) == 12 + len(faults) - 2
    )  # all but the early reset brought a body, and slow is no failure
    assert (kinds.count(OutcomeKind.DONE), kinds.count(OutcomeKind.DELIVERED)) == (12, 12)
    assert run.delivery is not None
    status = await run.delivery.status()
    assert (status.accepted, status.delivered, status.dead, status.ready) == (12, 12, 0, 0)


@pytest.mark.anyio
async def test_what_the_server_refuses_for_good_is_a_dead_letter(tmp_path: Path) -> None:
    async with FaultyServer(["422"]).running() as server:
        async with Deployment.load(tiny_models.classifier()) as deployment:
            run = deployment.add_hook(hook(posting(server), quick(tmp_path, max_concurrency=1)))
            for _ in range(3):
                await deployment.infer(RED)
        async with Spool(str(tmp_path)).open() as store:
            assert (await store.status()).dead == 1
    assert run.delivery is not None
    assert run.delivery.counts.dead == 1
    assert len(server.accepted) == 2


@pytest.mark.anyio
async def test_what_cannot_be_delivered_by_the_end_is_delivered_after_the_next_start(tmp_path: Path) -> None:
    gone = HttpRequestAction("http://127.0.0.1:9/", "POST", timeout=0.5, log_level="debug")
    async with Deployment.load(tiny_models.classifier(), drain_timeout=0.3) as deployment:
        run = deployment.add_hook(hook(gone, quick(tmp_path)))
        for _ in range(5):
            await deployment.infer(RED)
        await deployment.drained()
        assert run.counts.done == 5
    assert run.counts.cancelled == 0
    async with FaultyServer().running() as server, Deployment.load(tiny_models.classifier()) as deployment:
        deployment.add_hook(hook(posting(server), quick(tmp_path)))
    assert len(server.accepted) == 5
    assert {json.loads(body)["hook"] for body in server.bodies} == {"kept"}


@pytest.mark.anyio
async def test_one_keeps_and_another_delivers_without_a_model(tmp_path: Path) -> None:
    async with FaultyServer(["500"]).running() as server:
        async with Deployment.load(tiny_models.classifier()) as deployment:
            run = deployment.add_hook(hook(posting(server), quick(tmp_path, max_concurrency=0)))
            for _ in range(3):
                await deployment.infer(RED)
            await deployment.drained()
            await run.delivered()
        assert (run.counts.done, server.requests) == (3, 0)
        async with deliver(hook(posting(server), quick(tmp_path))) as again:
            await again.delivered()
            assert again.delivery is not None
            assert (await again.delivery.status()).delivered == 3
    assert len(server.accepted) == 3


@pytest.mark.anyio
async def test_deliver_says_what_is_in_its_way(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="its `delivery` delivers nothing"):
        async with deliver(PostInferenceHook(trigger=AlwaysTrigger(), action=LogAction())):
            pass
    async with Spool(str(tmp_path)).open():
        with pytest.raises(DeliveryError, match="could not be opened"):
            async with deliver(hook(LogAction(), Spool(str(tmp_path)))):
                pass


@pytest.mark.anyio
async def test_a_hook_that_is_removed_delivers_what_it_can_and_leaves_the_folder(tmp_path: Path) -> None:
    async with FaultyServer().running() as server, Deployment.load(tiny_models.classifier()) as deployment:
        run = deployment.add_hook(hook(posting(server), quick(tmp_path)))
        await deployment.infer(RED)
        deployment.remove_hook(run)
        assert run.delivery is not None
        await run.delivered()
        await deployment.drained()
        await run._released.wait()
        async with Spool(str(tmp_path)).open() as store:
            assert (await store.status()).delivered == 1
        assert len(server.accepted) == 1


@pytest.mark.anyio
async def test_an_action_that_infers_on_its_own_deployment_while_it_delivers_does_not_fire_again(
    tmp_path: Path,
) -> None:
    deployment = Deployment.load(tiny_models.classifier())
    labels = []

    async def again(event: HookEvent) -> None:
        labels.append((await deployment.infer(event.frame)).label_names)

    async with deployment:
        run = deployment.add_hook(hook(again, quick(tmp_path)))
        await deployment.infer(RED)
    assert labels == [("red",)]
    assert run.counts.seen == 1


@pytest.mark.anyio
async def test_nothing_of_a_delivery_is_secret_or_loud(tmp_path: Path, caplog: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "s3cret-t0ken")
    caplog.set_level(logging.DEBUG, "aiohooks")
    async with FaultyServer(["500"] * 20).running() as server:
        action = posting(server, headers={"Authorization": "Bearer ${HOOK_TOKEN}"})
        async with Deployment.load(tiny_models.classifier()) as deployment:
            run = deployment.add_hook(hook(action, quick(tmp_path, max_concurrency=1)))
            await deployment.infer(RED)
    assert "s3cret" not in caplog.text + repr(run) + repr(run.delivery) + repr(run.hook)
    files = await anyio.to_thread.run_sync(lambda: [path.read_bytes() for path in tmp_path.rglob("*.*")])
    assert not any(b"s3cret" in content for content in files)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 2  # the sink is left alone; it works again
