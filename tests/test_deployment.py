import asyncio
import contextlib
import gc
import threading
import warnings
import weakref
from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
import numpy as np
import pytest
import tiny_models
from numpy.typing import NDArray
from tiny_models import picture, plain

from aiohooks import (
    Deployment,
    DeploymentError,
    Frame,
    FrameError,
    HookEvent,
    InferenceError,
    InferQueueClosed,
    LabelTrigger,
    LoadError,
    OutcomeKind,
    PostInferenceHook,
    Prediction,
    Result,
    SpecError,
)

pytestmark = pytest.mark.anyio

RED, GREEN, BLUE = plain(red=255), plain(green=255), plain(blue=255)


async def always(frame: Frame, prediction: Prediction) -> bool:
    return True


class Gate:
    """Holds every inference of `tiny_models.calling(gate)` until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def __call__(self, image: NDArray[np.float32]) -> None:
        if not self.open.wait(20):
            raise TimeoutError("the test never opened the gate")


async def test_a_picture_as_array_path_bytes_and_frame(tmp_path) -> None:
    import cv2

    path = tmp_path / "green.png"
    cv2.imwrite(str(path), GREEN)
    async with Deployment.load(tiny_models.classifier()) as deployment:
        assert [label.name for label in deployment.labels] == ["red", "green", "blue"]
        for image in (GREEN, path, str(path), path.read_bytes(), Frame(GREEN)):
            assert (await deployment.infer(image)).label_names == ("green",)


async def test_a_model_file(tmp_path) -> None:
    path = tiny_models.save(tiny_models.detector(), tmp_path / "boxes.xml")
    async with Deployment.load(path) as deployment:
        assert deployment.name == "boxes"
        prediction = await deployment.infer(picture(red=(8, 4, 24, 20)))
    assert prediction.label_names == ("red",)
    np.testing.assert_allclose(prediction.boxes, [[8, 4, 24, 20]], atol=1)


async def test_two_tasks_never_get_each_others_results() -> None:
    async with Deployment.load(tiny_models.classifier()) as deployment:

        async def ask(image: NDArray[np.uint8], label: str) -> None:
            for _ in range(2000):
                assert (await deployment.infer(image)).label_names == (label,)

        async with anyio.create_task_group() as group:
            group.start_soon(ask, RED, "red")
            group.start_soon(ask, BLUE, "blue")


async def test_infer_many_keeps_the_order_and_puts_errors_in_place(tmp_path) -> None:
    async with Deployment.load(tiny_models.failing()) as deployment:
        results = await deployment.infer_many([RED, tmp_path / "missing.png", plain(255, 255, 255), BLUE])
    assert [result.ok for result in results] == [True, False, False, True]
    assert results[0].prediction.label_names == ("red",)
    assert isinstance(results[1].error, FrameError)
    assert isinstance(results[2].error, InferenceError)
    assert results[3].prediction.label_names == ("blue",)


async def test_a_failing_inference_is_told_at_once_and_leaves_the_rest_alone() -> None:
    async with Deployment.load(tiny_models.failing(), max_requests=8) as deployment:
        seconds: list[float] = []
        done = 0

        async def fail() -> None:
            start = anyio.current_time()
            with pytest.raises(InferenceError):
                await deployment.infer(plain(255, 255, 255))
            seconds.append(anyio.current_time() - start)

        async def succeed() -> None:
            nonlocal done
            await deployment.infer(RED)
            done += 1

        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            for _ in range(7):
                group.start_soon(succeed)
        assert done == 7
        for _ in range(1000):
            await deployment.infer(RED)
        # A bound on the watchdog, not on speed: it looks every 50 ms.
        assert seconds[0] < 1


@pytest.mark.parametrize("ordered", [True, False])
async def test_streams_over_any_iterable(ordered: bool) -> None:
    colours = [RED // 9, GREEN, BLUE] * 10

    async def camera() -> AsyncIterator[NDArray[np.uint8]]:
        for image in colours:
            yield image

    async with Deployment.load(tiny_models.slow()) as deployment:
        for source in (colours, iter(colours), camera(), (Frame(image, context=i) for i, image in enumerate(colours))):
            async with deployment.stream(source, ordered=ordered) as results:
                seen = [(result.index, result.prediction.label_names[0]) async for result in results]
            assert sorted(seen) == [(i, ["red", "green", "blue"][i % 3]) for i in range(30)]
            if ordered:
                assert seen == sorted(seen)


async def test_context_comes_back_with_the_result() -> None:
    async with Deployment.load(tiny_models.classifier()) as deployment:
        frames = [Frame(RED, name=f"shot {i}", context={"part": i}) for i in range(5)]
        results = await deployment.infer_many(frames)
    assert [result.context["part"] for result in results] == [0, 1, 2, 3, 4]
    assert all(result.frame is frame for result, frame in zip(results, frames, strict=True))


async def test_explain() -> None:
    async with Deployment.load(tiny_models.classifier(xai=True)) as deployment:
        explained = await deployment.explain(RED)
        assert explained.feature_vector is not None
        assert explained.saliency_maps is not None
    async with Deployment.load(tiny_models.classifier()) as deployment:
        with pytest.raises(DeploymentError, match="neither a `feature_vector` nor a `saliency_map`"):
            await deployment.explain(RED)


async def test_open_and_close_from_different_tasks() -> None:
    deployment = Deployment.load(tiny_models.classifier())
    async with anyio.create_task_group() as group:
        group.start_soon(deployment.open)
    assert (await deployment.infer(RED)).label_names == ("red",)
    async with anyio.create_task_group() as group:
        group.start_soon(deployment.aclose)
        group.start_soon(deployment.aclose)
    await deployment.aclose()


async def test_use_outside_of_its_life() -> None:
    deployment = Deployment.load(tiny_models.classifier())
    assert "new" in repr(deployment)
    with pytest.raises(DeploymentError, match="is new: use it in `async with`"):
        await deployment.infer(RED)
    with pytest.raises(DeploymentError, match="is new"):
        deployment.stream([RED])
    async with deployment:
        with pytest.raises(DeploymentError, match="is open; load it again"):
            await deployment.open()
    with pytest.raises(DeploymentError, match="is closed: load it again"):
        await deployment.infer(RED)
    with pytest.raises(DeploymentError, match="takes no more hooks"):
        deployment.add_hook(PostInferenceHook(trigger=always, action=always))
    with pytest.raises(DeploymentError, match="is closed; load it again"):
        await deployment.open()


async def test_closing_what_was_never_opened() -> None:
    deployment = Deployment.load(tiny_models.classifier())
    outcomes = deployment.outcomes()
    await deployment.aclose()
    assert [outcome async for outcome in outcomes] == []


async def test_a_model_that_cannot_be_loaded(tmp_path) -> None:
    with pytest.raises(LoadError, match="no such file"):
        Deployment.load(tmp_path / "missing.xml")
    broken = tmp_path / "broken.xml"
    broken.write_text("<net/>")
    deployment = Deployment.load(broken)
    for _ in range(2):  # and it may be tried again
        with pytest.raises(LoadError, match=r"broken\.xml"):
            await deployment.open()


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.01])
async def test_a_cancelled_opening_leaves_nothing(seconds: float) -> None:
    deployment = Deployment.load(tiny_models.classifier())
    tasks = asyncio.all_tasks()
    with anyio.move_on_after(seconds):
        await deployment.open()
    await deployment.aclose()
    assert asyncio.all_tasks() == tasks


async def test_closing_with_inferences_in_flight() -> None:
    gate = Gate()
    deployment = Deployment.load(tiny_models.calling(gate), max_requests=2)
    await deployment.open()
    ends: list[str] = []

    async def infer() -> None:
        try:
            ends.append((await deployment.infer(RED)).label_names[0])
        except InferQueueClosed:
            ends.append("closed")

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(infer)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(deployment.aclose)
        await anyio.wait_all_tasks_blocked()
        gate.open.set()
    assert sorted(ends) == ["closed"] * 3 + ["red"] * 2


async def test_closing_ends_a_stream_that_is_being_read() -> None:
    gate = Gate()
    deployment = Deployment.load(tiny_models.calling(gate), max_requests=1)
    await deployment.open()

    async def read() -> None:
        with pytest.raises(InferQueueClosed, match="closed while a stream was being read"):
            async for _ in deployment.stream([RED] * 100):
                pass

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(deployment.aclose)
        await anyio.wait_all_tasks_blocked()
        gate.open.set()


async def test_a_bare_loop_is_closed_with_the_deployment_at_the_latest() -> None:
    async with Deployment.load(tiny_models.classifier()) as deployment:
        iterator = aiter(deployment.stream([RED] * 100))
        await anext(iterator)
    with pytest.raises(InferQueueClosed):
        async for _ in iterator:
            pass


async def test_a_source_advanced_in_a_thread_leaves_none_behind() -> None:
    def threads() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if "AnyIO" not in thread.name}

    def endless():
        while True:
            yield RED

    async with Deployment.load(tiny_models.classifier()) as deployment:
        before = threads()
        async with deployment.stream(endless()) as results:
            async for result in results:
                if result.index == 20:
                    break
        assert threads() <= before


async def test_forgetting_to_close_is_a_resource_warning() -> None:
    deployment = Deployment.load(tiny_models.classifier())
    await deployment.open()
    owner, model = deployment._life.tasks, deployment.model
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del deployment
        gc.collect()
    assert any(w.category is ResourceWarning and "never closed" in str(w.message) for w in caught)
    await model.aclose()
    await owner.aclose()


# hooks ---------------------------------------------------------------------------------------------------------


async def test_what_hooks_did_comes_back_as_outcomes() -> None:
    async def count_to_two(event: HookEvent) -> AsyncIterator[int]:
        yield 1
        yield 2

    async def label(event: HookEvent) -> str:
        return event.prediction.label_names[0]

    async with Deployment.load(tiny_models.classifier()) as deployment:
        deployment.add_hook(PostInferenceHook(trigger=always, action=label, name="label"))
        deployment.add_hook(PostInferenceHook(trigger=always, action=count_to_two, name="count"))
        outcomes = deployment.outcomes()
        await deployment.infer(Frame(GREEN, name="leaf", context="tree"))
    found = [outcome async for outcome in outcomes]
    assert [o.value for o in found if o.hook == "label"] == ["green"]
    assert [(o.kind, o.value) for o in found if o.hook == "count"] == [
        (OutcomeKind.YIELDED, 1),
        (OutcomeKind.YIELDED, 2),
        (OutcomeKind.DONE, None),
    ]
    assert {(o.frame_name, o.context) for o in found} == {("leaf", "tree")}


@pytest.mark.parametrize("size", [64, 1000])
@pytest.mark.parametrize("turn", [np.asarray, np.fliplr], ids=["as it is", "mirrored"])
async def test_a_picture_of_any_size_is_copied_for_hooks(size: int, turn) -> None:
    seen: list[NDArray[np.uint8]] = []

    async def keep(event: HookEvent) -> None:
        seen.append(event.frame.image)

    buffer = np.zeros((size, size, 3), np.uint8)
    async with Deployment.load(tiny_models.classifier()) as deployment:
        deployment.add_hook(PostInferenceHook(trigger=always, action=keep))
        for value in (10, 200):
            buffer[:] = value
            await deployment.infer(turn(buffer))
        buffer[:] = 0
        await deployment.drained()
    assert sorted(int(image.min()) for image in seen) == sorted(int(image.max()) for image in seen) == [10, 200]


@pytest.mark.parametrize("side", [64, 900])
async def test_a_reused_buffer_shows_each_action_its_own_pixels(side: int) -> None:
    seen: dict[int, int] = {}
    release = anyio.Event()

    async def look(event: HookEvent) -> None:
        await release.wait()
        assert event.frame.image.min() == event.frame.image.max()
        seen[event.frame.index] = int(event.frame.image[0, 0, 0])

    buffer = np.zeros((side, side, 3), np.uint8)
    async with Deployment.load(tiny_models.classifier()) as deployment:
        hook = deployment.add_hook(PostInferenceHook(trigger=always, action=look, max_pending=100))
        for index in range(50):
            buffer[:] = index
            await deployment.infer(Frame(buffer, index=index))

        async def camera() -> AsyncIterator[Frame]:
            for index in range(50, 100):
                buffer[:] = index
                yield Frame(buffer, index=index)

        async with deployment.stream(camera()) as results:
            async for _ in results:
                pass
        buffer[:] = 255
        release.set()
    assert seen == {index: index for index in range(100)}
    assert hook.counts.done == 100


async def test_pixels_are_copied_only_if_they_must_be() -> None:
    frames: list[Frame] = []

    async def keep(event: HookEvent) -> None:
        frames.append(event.frame)

    owned, borrowed = Frame(RED, owned=True), Frame(RED)
    async with Deployment.load(tiny_models.classifier()) as deployment:
        hook = deployment.add_hook(PostInferenceHook(trigger=always, action=keep))
        await deployment.infer(owned)
        await deployment.infer(borrowed)
        await hook.drained()
    assert frames[0] is owned
    assert frames[1].image is not RED


async def test_triggers_and_actions_in_trouble_change_nothing_for_inference() -> None:
    async def raises(*_: object) -> bool:
        raise LookupError("trouble")

    async def hangs(*_: object) -> bool:
        await anyio.sleep_forever()
        return True

    async def is_cancelled(*_: object) -> bool:
        raise asyncio.CancelledError

    troubles = (raises, hangs, is_cancelled)
    async with Deployment.load(tiny_models.classifier(), drain_timeout=0.05) as deployment:
        hooks = [PostInferenceHook(trigger=trouble, action=always, timeout=0.02) for trouble in troubles]
        hooks += [PostInferenceHook(trigger=always, action=trouble, timeout=0.02) for trouble in troubles]
        running = [deployment.add_hook(hook) for hook in hooks]
        results = await deployment.infer_many([RED, GREEN, BLUE])
        for hook in running:
            await hook.drained()
    assert [result.prediction.label_names[0] for result in results] == ["red", "green", "blue"]
    assert [hook.counts.trigger_failed for hook in running] == [3, 3, 3, 0, 0, 0]
    assert [(h.counts.failed, h.counts.timed_out, h.counts.cancelled) for h in running[3:]] == [
        (3, 0, 0),
        (0, 3, 0),
        (0, 0, 3),
    ]


async def test_an_action_whose_task_is_cancelled_from_outside() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def wait(event: HookEvent) -> None:
        tasks.append(asyncio.current_task())
        await anyio.sleep_forever()

    async with Deployment.load(tiny_models.classifier()) as deployment:
        hook = deployment.add_hook(PostInferenceHook(trigger=always, action=wait))
        await deployment.infer(RED)
        await anyio.wait_all_tasks_blocked()
        tasks[0].cancel()
        await hook.drained()
        assert hook.counts.cancelled == 1
        assert (await deployment.infer(RED)).label_names == ("red",)
        await anyio.wait_all_tasks_blocked()
        tasks[1].cancel()


async def test_what_an_action_infers_is_not_shown_to_the_hooks_again() -> None:
    async def look_again(event: HookEvent) -> tuple[str, ...]:
        return (await deployment.infer(BLUE)).label_names

    async with Deployment.load(tiny_models.classifier()) as deployment:
        hook = deployment.add_hook(
            PostInferenceHook(trigger=always, action=look_again, max_concurrency=1, max_pending=1)
        )
        outcomes = deployment.outcomes()
        for _ in range(20):
            await deployment.infer(RED)
        # and what is still to be done when the deployment closes can still infer
    assert (hook.counts.seen, hook.counts.done) == (20, 20)
    assert {outcome.value async for outcome in outcomes} == {("blue",)}


async def test_hooks_see_what_was_in_flight_when_the_deployment_closed() -> None:
    gate = Gate()
    deployment = Deployment.load(tiny_models.calling(gate), max_requests=2)
    await deployment.open()
    hook = deployment.add_hook(PostInferenceHook(trigger=always, action=always_done))
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(deployment.infer, RED)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(deployment.aclose)
        await anyio.wait_all_tasks_blocked()
        gate.open.set()
    assert (hook.counts.seen, hook.counts.done) == (2, 2)


async def test_while_closing_only_hooks_begin_anything() -> None:
    release = anyio.Event()

    async def wait(event: HookEvent) -> None:
        await release.wait()

    deployment = Deployment.load(tiny_models.classifier())
    await deployment.open()
    deployment.add_hook(PostInferenceHook(trigger=always, action=wait))
    await deployment.infer(RED)
    async with anyio.create_task_group() as group:
        group.start_soon(deployment.aclose)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(InferQueueClosed, match="is closing"):
            await deployment.infer(RED)
        with pytest.raises(DeploymentError, match="is closing"):
            deployment.stream([RED])
        release.set()


async def test_a_name_and_a_context_for_hooks_to_find() -> None:
    events: list[HookEvent] = []

    async def keep(event: HookEvent) -> None:
        events.append(event)

    async with Deployment.load(tiny_models.classifier()) as deployment:
        deployment.add_hook(PostInferenceHook(trigger=always, action=keep))
        await deployment.infer(RED, name="upload", context=7)
        await deployment.infer(Frame(RED, name="own", context=8), name="given")
        await deployment.drained()
        assert [(event.frame.name, event.frame.context) for event in events] == [("upload", 7), ("given", 8)]


async def test_pictures_that_are_too_large_are_refused(tmp_path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((100, 101, 3), np.uint8))
    async with Deployment.load(tiny_models.classifier(), max_pixels=10_000) as deployment:
        with pytest.raises(FrameError, match=r"large\.png"):
            await deployment.infer(tmp_path / "large.png")


async def test_a_trigger_that_asks_for_an_unknown_label_is_told(caplog) -> None:
    hook = PostInferenceHook(trigger=LabelTrigger(["red", "rde"]), action=always_done)
    deployment = Deployment.load(tiny_models.classifier())
    deployment.add_hook(hook)
    async with deployment:
        deployment.add_hook(PostInferenceHook(trigger=LabelTrigger(["red"]), action=always_done))
    assert [record.getMessage() for record in caplog.records] == [
        "hook LabelTrigger → always_done asks for labels that tiny does not know: ['rde']; it knows red, green, blue"
    ]


async def test_closing_drains_the_hooks_then_cancels_and_counts() -> None:
    slow = anyio.Event()

    async def waits(event: HookEvent) -> None:
        await (anyio.sleep_forever() if event.frame.index else slow.wait())

    deployment = Deployment.load(tiny_models.classifier(), drain_timeout=0.1)
    await deployment.open()
    hook = deployment.add_hook(PostInferenceHook(trigger=always, action=waits, max_concurrency=2, timeout=None))
    for index in range(4):
        await deployment.infer(Frame(RED, index=index))
    slow.set()
    await deployment.aclose()
    assert (hook.counts.done, hook.counts.cancelled) == (1, 3)


async def test_closing_waits_for_a_thread_that_nothing_can_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiohooks.deployment.deployment.CANCEL_SECONDS", 0.01)
    started, model_closed, gate, ended = anyio.Event(), anyio.Event(), threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(30)
        ended.set()

    async def act(_: HookEvent) -> None:
        started.set()
        await anyio.to_thread.run_sync(work)

    deployment = Deployment.load(tiny_models.classifier(), drain_timeout=0)
    await deployment.open()
    hook = deployment.add_hook(PostInferenceHook(trigger=always, action=act, timeout=None))
    await deployment.infer(RED)
    await started.wait()
    close_model = deployment.model.aclose

    async def close_and_tell() -> None:
        await close_model()
        model_closed.set()

    monkeypatch.setattr(deployment.model, "aclose", close_and_tell)
    async with anyio.create_task_group() as group:
        group.start_soon(deployment.aclose)
        await model_closed.wait()
        gate.set()
    assert ended.is_set()
    assert hook.counts.done == 1  # it came to its end after all


async def test_blocking_is_inference_waiting_for_room() -> None:
    release = anyio.Event()

    async def wait(event: HookEvent) -> None:
        await release.wait()

    async with Deployment.load(tiny_models.classifier()) as deployment:
        hook = deployment.add_hook(PostInferenceHook(trigger=always, action=wait, max_concurrency=1, max_pending=2))
        for _ in range(3):
            await deployment.infer(RED)
        async with anyio.create_task_group() as group:
            group.start_soon(deployment.infer, RED)
            await anyio.wait_all_tasks_blocked()
            assert hook.pending == 2
            release.set()
    assert hook.counts.done == 4


async def test_hooks_are_listed_removed_and_cleared() -> None:
    release = anyio.Event()

    async def wait(event: HookEvent) -> None:
        await release.wait()

    first, second, third = (PostInferenceHook(trigger=always, action=wait, name=name) for name in "abc")
    deployment = Deployment.load(tiny_models.classifier())
    running = deployment.add_hook(first)
    async with deployment:
        deployment.add_hook(second)
        deployment.add_hook(third)
        assert [hook.name for hook in deployment.hooks] == ["a", "b", "c"]
        assert "a" in repr(deployment)
        await deployment.infer(RED)
        deployment.remove_hook(running)
        deployment.remove_hook(second)
        assert [hook.hook for hook in deployment.hooks] == [third]
        with pytest.raises(DeploymentError, match="not a hook of deployment"):
            deployment.remove_hook(second)
        deployment.clear_hooks()
        assert deployment.hooks == ()
        await deployment.infer(RED)
        release.set()
    assert running.counts.done == 1  # what it had seen was finished


async def test_what_is_not_a_hook() -> None:
    with pytest.raises(SpecError, match=r"add_hook takes a PostInferenceHook\(trigger=…, action=…\), got LabelTrigger"):
        Deployment.load(tiny_models.classifier()).add_hook(LabelTrigger(["red"]))  # type: ignore[arg-type]


async def test_what_a_slow_reader_of_outcomes_misses_is_counted() -> None:
    async with Deployment.load(tiny_models.classifier()) as deployment:
        deployment.add_hook(PostInferenceHook(trigger=always, action=always_done))
        outcomes = deployment.outcomes(buffer=3)
        for index in range(10):
            await deployment.infer(Frame(RED, index=index))
    assert [outcome.frame_index async for outcome in outcomes] == [7, 8, 9]
    assert outcomes.missed == 7
    assert [outcome async for outcome in deployment.outcomes()] == []


async def always_done(event: HookEvent) -> None:
    return None


def test_results_without_anything() -> None:
    with pytest.raises(Exception, match="neither prediction nor error"):
        Result(0).prediction  # noqa: B018


# closing in trouble --------------------------------------------------------------------------------------------


async def test_an_action_that_closes_its_deployment_is_cancelled_like_any_other() -> None:
    async def close(event: HookEvent) -> None:
        await deployment.aclose()

    deployment = Deployment.load(tiny_models.classifier(), drain_timeout=0.05)
    await deployment.open()
    hook = deployment.add_hook(PostInferenceHook(trigger=always, action=close))
    await deployment.infer(RED)
    with anyio.fail_after(10):
        await deployment.aclose()
    assert hook.counts.cancelled == 1
    assert "closed" in repr(deployment)


async def test_a_source_that_closes_its_deployment() -> None:
    deployment = Deployment.load(tiny_models.classifier())
    await deployment.open()

    async def source() -> AsyncIterator[NDArray[np.uint8]]:
        yield RED
        await deployment.aclose()

    with anyio.fail_after(10), pytest.raises(InferQueueClosed):
        async for _ in deployment.stream(source()):
            pass
    await deployment.aclose()


async def test_closing_goes_on_when_the_one_who_waits_for_it_is_cancelled() -> None:
    release = anyio.Event()

    async def wait(event: HookEvent) -> None:
        await release.wait()

    deployment = Deployment.load(tiny_models.classifier())
    await deployment.open()
    hook = deployment.add_hook(PostInferenceHook(trigger=always, action=wait))
    await deployment.infer(RED)
    closing = asyncio.get_running_loop().create_task(deployment.aclose())
    await anyio.wait_all_tasks_blocked()
    closing.cancel()  # as asyncio.timeout does, which no shield of anyio stops
    with pytest.raises(asyncio.CancelledError):
        await closing
    release.set()
    await deployment.aclose()
    assert hook.counts.done == 1


async def test_closing_while_opening_waits_for_it() -> None:
    deployment = Deployment.load(tiny_models.classifier())
    async with anyio.create_task_group() as group:
        group.start_soon(deployment.open)  # tasks take their first step in the order in which they were started
        group.start_soon(deployment.aclose)
    assert "closed" in repr(deployment)


@pytest.mark.parametrize("at", range(6))
async def test_an_opening_that_is_cancelled_at_any_step_leaves_nothing(at: int) -> None:
    deployment = Deployment.load(tiny_models.classifier())
    tasks = asyncio.all_tasks()
    opening = asyncio.get_running_loop().create_task(deployment.open())
    for _ in range(at):
        await asyncio.sleep(0)
    opening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await opening
    await deployment.aclose()
    await anyio.wait_all_tasks_blocked()
    assert asyncio.all_tasks() <= tasks


def test_one_deployment_in_two_event_loops() -> None:
    gate = Gate()
    deployment = Deployment.load(tiny_models.calling(gate), max_requests=1)

    async def begin() -> None:
        await deployment.open()
        asyncio.get_running_loop().create_task(deployment.infer(RED))
        await anyio.wait_all_tasks_blocked()

    async def misuse() -> None:
        with pytest.raises(DeploymentError, match="belongs to another event loop"):
            await deployment.infer(RED)

    asyncio.run(begin())
    gate.open.set()
    asyncio.run(misuse())
    asyncio.run(deployment.aclose())
    assert "closed" in repr(deployment)


async def test_a_running_loop_elsewhere_keeps_its_deployment() -> None:
    async with Deployment.load(tiny_models.classifier()) as deployment:

        def close() -> None:
            with pytest.raises(DeploymentError, match="close it there"):
                asyncio.run(deployment.aclose())

        await anyio.to_thread.run_sync(close)
        assert (await deployment.infer(RED)).label_names == ("red",)


async def test_failures_hold_no_pixels() -> None:
    async def fail(event: HookEvent) -> None:
        pixels = event.frame  # noqa: F841  # a variable of the frame that fails
        raise LookupError("lost")

    async def unclear(frame: Frame, prediction: Prediction) -> bool:
        raise Unprintable

    async with Deployment.load(tiny_models.classifier()) as deployment:
        deployment.add_hook(PostInferenceHook(trigger=always, action=fail))
        deployment.add_hook(PostInferenceHook(trigger=unclear, action=fail))
        outcomes = deployment.outcomes()
        frames = [Frame(RED.copy(), owned=True) for _ in range(20)]
        alive = [weakref.ref(frame) for frame in frames]
        while frames:
            await deployment.infer(frames.pop())
        await deployment.drained()
        gc.disable()
        try:
            assert sum(frame() is not None for frame in alive) <= 1
        finally:
            gc.enable()
    found = [outcome async for outcome in outcomes]
    assert {str(outcome.error) for outcome in found} == {"LookupError: lost", "Unprintable"}


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


async def test_large_pictures_in_streams_are_refused_too(tmp_path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((100, 101, 3), np.uint8))
    async with Deployment.load(tiny_models.classifier(), max_pixels=10_000) as deployment:

        async def one() -> AsyncIterator[object]:
            yield tmp_path / "large.png"

        for source in (
            [tmp_path / "large.png"],
            tmp_path,
            tmp_path / "large.png",
            iter([tmp_path / "large.png"]),
            one(),
        ):
            (result,) = await deployment.infer_many(source)
            assert isinstance(result.error, FrameError)


async def test_a_picture_that_openvino_cannot_read_in_place() -> None:
    bgr = np.zeros((600, 600, 3), np.uint8)
    bgr[..., 0] = 255
    async with Deployment.load(tiny_models.classifier()) as deployment:
        assert (await deployment.infer(bgr[..., ::-1])).label_names == ("blue",)
