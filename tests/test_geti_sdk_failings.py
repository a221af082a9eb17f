"""Where geti-sdk 2.13 fails its users, and the tests that show that aiohooks does not.

`SHOWN` has a row for every failing that was reproduced with geti-sdk. Most are shown by tests of the part that is concerned; the rest is
here.
"""

import ast
import json
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import tiny_models
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from numpy.typing import NDArray
from tiny_models import picture, plain

from aiohooks import (
    AlwaysTrigger,
    ConfidenceTrigger,
    Deployment,
    FileSystemDataCollection,
    Frame,
    HookEvent,
    HttpRequestAction,
    OutcomeKind,
    PostInferenceHook,
    Prediction,
    RunningHook,
)

pytestmark = pytest.mark.anyio

SHOWN = {
    "JSON of detections, polygons and keypoints is not serialisable: files are truncated, POSTs are never sent": [
        "test_geti_sdk_failings.py::test_what_was_found_reaches_files_and_servers_whole",
    ],
    "the video that should be in order is not": [
        "test_stream.py::test_500_frames_come_in_order_within_the_bound",
        "test_deployment.py::test_streams_over_any_iterable",
    ],
    "a bounded video buffer deadlocks": [
        "test_stream.py::test_500_frames_come_in_order_within_the_bound",
        "test_geti_sdk_failings.py::test_the_smallest_bounds_do_not_deadlock",
    ],
    "frames of a video pile up in memory without a bound": [
        "test_geti_sdk_failings.py::test_a_slow_reader_holds_few_frames",
    ],
    "frames pile up in front of hooks without a bound": [
        "test_geti_sdk_failings.py::test_a_slow_action_holds_few_frames",
        "test_deployment.py::test_blocking_is_inference_waiting_for_room",
    ],
    "an exception in a callback aborts the process": [
        "test_deployment.py::test_triggers_and_actions_in_trouble_change_nothing_for_inference",
        "test_model_infer.py::test_a_decoder_that_raises_is_named_with_its_cause",
        "test_infer_queue.py::test_a_callback_that_fails_to_copy_fails_its_inference",
        "test_geti_sdk_failings.py::test_a_reader_that_raises_gets_its_own_exception",
    ],
    "exceptions of actions vanish": [
        "test_geti_sdk_failings.py::test_an_action_that_raises_is_counted_logged_and_told",
    ],
    "actions see what was written into the buffer of their frame later": [
        "test_deployment.py::test_a_reused_buffer_shows_each_action_its_own_pixels",
    ],
    "SIGTERM: what hooks have begun is not done": [
        "test_cli_ending.py::test_a_process_finishes_what_its_hooks_have_begun",
        "test_deployment.py::test_hooks_see_what_was_in_flight_when_the_deployment_closed",
    ],
    "what is dropped is not counted": [
        "test_hook_accounting.py::test_it_adds_up",
        "test_hook_accounting.py::test_thirty_per_second_through_a_hook_limited_to_ten",
    ],
    "infer from two threads gives each the results of the other": [
        "test_deployment.py::test_two_tasks_never_get_each_others_results",
    ],
    "HTTP action: no time-out": [
        "test_actions_http.py::test_a_server_that_does_not_answer_in_time_fails_the_event",
    ],
    "HTTP action: an error status passes for success": [
        "test_actions_http.py::test_an_answer_that_is_no_success_fails_with_status_and_start_of_the_body",
    ],
    "HTTP action: a new connection for each request": [
        "test_actions_http.py::test_a_running_hook_shares_one_connection_between_events",
    ],
    "the token stands in the saved configuration": [
        "test_geti_hook_config.py::test_the_token_of_a_collection_is_not_taken_over",
        "test_deployment_folder.py::test_no_secret_is_written",
        "test_actions_http.py::test_a_header_that_holds_a_secret_itself_is_refused_without_showing_it",
    ],
    "loading offline calls the server, and fails": [
        "test_deployment_hooks.py::test_loading_offline_asks_no_server_and_infers",
    ],
    "ConfidenceTrigger fires on every picture in which nothing was found": [
        "test_triggers.py::test_confidence_is_sure_where_nothing_was_found",
        "test_geti_sdk_failings.py::test_an_empty_picture_is_no_unsure_one",
    ],
    "a name with / loses files": [
        "test_geti_sdk_failings.py::test_a_name_with_slashes_loses_nothing",
    ],
    "a name with ../ escapes the folder": [
        "test_actions_file_system.py::test_no_name_leads_out_of_the_folder",
    ],
    "a chain of three tasks crashes when it is asynchronous": [
        "test_chain.py::test_a_project_of_three_tasks",
        "test_chain.py::test_a_stream_gives_the_same_in_order",
    ],
    "saved hooks of one's own cannot be loaded unless their code was imported before": [
        "test_registry.py::test_no_package_is_imported_before_it_is_asked_for",
        "test_saved_hooks.py::test_classes_of_packages_hold_others_and_come_back",
        "test_deployment_hooks.py::test_classes_of_ones_own_are_found_by_a_process_that_never_imported_them",
    ],
}  # fmt: skip
"""Tests by the failing of geti-sdk that they show not to be ours."""


def test_every_failing_has_tests_that_exist() -> None:
    here = Path(__file__).parent
    missing = {}
    for failing, tests in SHOWN.items():
        for test in tests:
            file, _, name = test.partition("::")
            tree = ast.parse((here / file).read_text(encoding="utf-8"))
            names = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
            if name not in names:
                missing[failing] = test
    assert not missing
    assert all(SHOWN.values())


RED = plain(red=255)
BLACK = plain()
SHAPES = picture(red=(8, 4, 40, 30), green=(10, 32, 60, 60))


async def until(hook: RunningHook, done: int) -> None:
    await hook.drained()
    assert hook.counts.done == done


def folders_of_files(root: Path) -> list[tuple[str, ...]]:
    return [path.relative_to(root).parts[:-1] for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("make", [tiny_models.detector, tiny_models.instance_segmenter, tiny_models.keypoints])
async def test_what_was_found_reaches_files_and_servers_whole(make: Any, tmp_path: Path) -> None:
    received: list[dict[str, Any]] = []

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        received.append(json.loads(await request.content.read()))
        return web.Response()

    async with RawTestServer(take) as server, Deployment.load(make()) as deployment:
        url = str(server.make_url("/"))
        for action in (
            FileSystemDataCollection(tmp_path),
            HttpRequestAction(url, "POST", include_prediction_data=True),
        ):
            deployment.add_hook(PostInferenceHook(trigger=AlwaysTrigger(), action=action))
        predictions = [await deployment.infer(image, name=f"{i}") for i, image in enumerate([SHAPES, BLACK])]
        await deployment.drained()
    stored = [json.loads(path.read_bytes()) for path in sorted((tmp_path / "predictions").iterdir())]
    expected = json.loads(json.dumps([prediction.to_geti() for prediction in predictions]))
    assert expected[0]["annotations"]
    assert stored == expected
    received.sort(key=lambda body: body["name"])
    assert [{key: body[key] for key in expected[0]} for body in received] == expected


@pytest.mark.parametrize("overflow", ["block", "drop_newest", "drop_oldest"])
async def test_the_smallest_bounds_do_not_deadlock(overflow: Any) -> None:
    async def work(event: HookEvent) -> None:
        await anyio.lowlevel.checkpoint()

    async with Deployment.load(tiny_models.classifier(), max_requests=1) as deployment:
        hook = deployment.add_hook(
            PostInferenceHook(trigger=AlwaysTrigger(), action=work, max_concurrency=1, max_pending=1, overflow=overflow)
        )
        with anyio.fail_after(30):
            async with deployment.stream([RED] * 300, max_in_flight=1) as results:
                seen = [result.index async for result in results]
            await deployment.drained()
    assert seen == list(range(300))
    assert hook.counts.done + hook.counts.dropped == hook.counts.seen == 300


class Living:
    """Frames that are alive."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    def frames(self, count: int) -> Any:
        for index in range(count):
            frame = Frame(RED.copy(), index=index, owned=True)
            self.now += 1
            self.most = max(self.most, self.now)
            weakref.finalize(frame, self._gone)
            yield frame
            del frame

    def _gone(self) -> None:
        self.now -= 1


async def test_a_slow_reader_holds_few_frames() -> None:
    living = Living()
    deployment = Deployment.load(tiny_models.classifier())
    async with deployment, deployment.stream(living.frames(300), max_in_flight=6) as results:
        await anext(results)
        await anyio.wait_all_tasks_blocked()  # as far as it reads ahead of a reader that does nothing
        held = living.now
        count = 1
        async for _ in results:
            count += 1
    assert count == 300
    assert held <= 6
    assert living.most <= 8


async def test_a_slow_action_holds_few_frames() -> None:
    living, go_on = Living(), anyio.Event()

    async def wait(event: HookEvent) -> None:
        await go_on.wait()

    async with Deployment.load(tiny_models.classifier()) as deployment:
        hook = deployment.add_hook(
            PostInferenceHook(trigger=AlwaysTrigger(), action=wait, max_concurrency=2, max_pending=10)
        )

        async def read() -> None:
            async with deployment.stream(living.frames(300), max_in_flight=4) as results:
                async for _ in results:
                    pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            while hook.pending < 10:
                await anyio.wait_all_tasks_blocked()
            await anyio.wait_all_tasks_blocked()
            assert living.now <= 2 + 10 + 4 + 1
            go_on.set()
        await until(hook, 300)
    assert living.most <= 2 + 10 + 4 + 2


async def test_a_reader_that_raises_gets_its_own_exception() -> None:
    async with Deployment.load(tiny_models.classifier()) as deployment:
        with pytest.raises(ZeroDivisionError):
            async with deployment.stream([RED] * 50) as results:
                async for result in results:
                    if result.index == 3:
                        raise ZeroDivisionError
        assert (await deployment.infer(RED)).label_names == ("red",)


async def test_an_action_that_raises_is_counted_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(event: HookEvent) -> None:
        raise LookupError(f"no room for {event.frame.name}")

    async with Deployment.load(tiny_models.classifier()) as deployment:
        hook = deployment.add_hook(PostInferenceHook(trigger=AlwaysTrigger(), action=fail, name="keep"))
        outcomes = deployment.outcomes()
        for name in ("a", "b"):
            await deployment.infer(RED, name=name)
    told = [(outcome.kind, outcome.frame_name, str(outcome.error)) async for outcome in outcomes]
    assert told == [(OutcomeKind.FAILED, name, f"LookupError: no room for {name}") for name in ("a", "b")]
    assert hook.counts.failed == 2
    assert [message for message in caplog.messages if "no room for b" in message]


async def test_an_empty_picture_is_no_unsure_one() -> None:
    collected: list[Prediction] = []

    async def collect(event: HookEvent) -> None:
        collected.append(event.prediction)

    dim: NDArray[np.uint8] = picture(red=(8, 4, 40, 30), value=160)
    async with Deployment.load(tiny_models.detector()) as deployment:
        hook = deployment.add_hook(PostInferenceHook(trigger=ConfidenceTrigger(0.8), action=collect))
        for image in (BLACK, dim, BLACK):
            await deployment.infer(image)
    assert hook.counts.seen == 3
    assert [prediction.label_names for prediction in collected] == [("red",)]


async def test_a_name_with_slashes_loses_nothing(tmp_path: Path) -> None:
    async with Deployment.load(tiny_models.classifier()) as deployment:
        hook = deployment.add_hook(
            PostInferenceHook(trigger=AlwaysTrigger(), action=FileSystemDataCollection(tmp_path / "kept"))
        )
        for name in ("line 1/cam 2/0001.png", "../../outside", "/etc/passwd"):
            await deployment.infer(RED, name=name)
        await until(hook, 3)
    assert Counter(folders_of_files(tmp_path)) == {
        ("kept", kind): 3 for kind in ("images", "predictions", "scores", "overlays")
    }
