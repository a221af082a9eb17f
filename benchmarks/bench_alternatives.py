"""aiohooks against the other ways to run OpenVINO in a program: the same work on the same compiled model.

- executor, infer: `run_in_executor` on as many threads as aiohooks has slots, each with a request of its own: an
  inference and copies of its outputs, no prediction.
- executor, Model API: the same with a wrapper of Model API's in each thread: from the picture to the prediction.
- AsyncPipeline: Model API's, as its demos use it, with one request more, as it would choose itself. It blocks its
  thread: nothing else can run there meanwhile.
"""

import asyncio
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import alternation
import anyio.to_thread
import bare
import models
import numpy as np
import openvino as ov
import options
import tables
from bench_inference import WORK, blocking
from model_api.adapters import OpenvinoAdapter
from model_api.models import Model as Wrapper
from model_api.pipelines import AsyncPipeline
from numpy.typing import NDArray
from tables import Row

from aiohooks import Deployment
from aiohooks.inference.model import Model
from aiohooks.inference.model_loading import core, load_model

HINT = "THROUGHPUT"
MODELS = ("empty classifier", "empty detector", "conv net, VGA", "EfficientNet-Lite0")
QUICK_MODELS = ("empty classifier", "EfficientNet-Lite0")
TARGETS = {"executor, Model API": 1.0, "AsyncPipeline": 1.0}

Frames = Sequence[NDArray[np.uint8]]
Job = Callable[[NDArray[np.uint8]], Any]


class CompiledAdapter(OpenvinoAdapter):
    """Model API's adapter, except that its model has been compiled before."""

    def __init__(self, path: Path, compiled: ov.CompiledModel, requests: int) -> None:
        super().__init__(core(), str(path), max_num_requests=requests)
        self.compiled_model = compiled

    def load_model(self) -> None:
        self.async_queue = ov.AsyncInferQueue(self.compiled_model, self.max_num_requests)


class Threads:
    """Does jobs in an executor, each thread with a job of its own making."""

    def __init__(self, pool: ThreadPoolExecutor, make_job: Callable[[], Job]) -> None:
        self._pool = pool
        self._make_job = make_job
        self._local = threading.local()

    def infer(self, frame: NDArray[np.uint8]) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(self._pool, self._do, frame)

    def _do(self, frame: NDArray[np.uint8]) -> Any:
        if not hasattr(self._local, "job"):
            self._local.job = self._make_job()
        return self._local.job(frame)


async def main() -> None:
    given = options.parse(__doc__)
    given = replace(given, seconds=0.02 if given.quick else 0.15)
    rows: list[Row] = []
    for case in [*models.synthetic(), *await models.real()]:
        if case.name in (QUICK_MODELS if given.quick else MODELS):
            rows += await measure(case, given)
    tables.show("aiohooks ↔ alternatives", rows)
    tables.save("alternatives", given.json, rows)


async def measure(case: models.Case, given: options.Options) -> list[Row]:
    loaded = load_model(case.source, performance_hint=HINT, **case.options)
    compiled, slots, frames = loaded.compiled, loaded.requests, case.frames
    rows: list[Row] = []
    with ExitStack() as stack:
        path = in_file(case.source, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        jobs: dict[str, Callable[[], Job]] = {
            "executor, infer": partial(bare_job, compiled),
            "executor, Model API": lambda: Wrapper.create_model(CompiledAdapter(path, compiled, 1)),
        }
        threads = {name: Threads(stack.enter_context(ThreadPoolExecutor(slots)), job) for name, job in jobs.items()}
        pipeline = AsyncPipeline(Wrapper.create_model(CompiledAdapter(path, compiled, slots + 1)))
        async with Deployment(case.name, partial(anyio.to_thread.run_sync, Model, loaded)) as deployment:
            for what, ours in WORK.items():
                contenders = {name: IN_THREADS[what](pool, frames, slots) for name, pool in threads.items()}
                if what in PIPELINED:
                    contenders["AsyncPipeline"] = blocking(PIPELINED[what](pipeline, frames))
                contenders["Deployment"] = ours(deployment, frames)
                least = 3 if what == "one by one" else 2 * slots
                taken = await alternation.alternate(contenders, rounds=given.rounds, seconds=given.seconds, least=least)
                names = {"what": what, "model": case.name, "hint": HINT, "slots": slots}
                rows += [
                    tables.compare(taken, ours="Deployment", other=name, target=TARGETS.get(name), **names)
                    for name in contenders
                    if name != "Deployment"
                ]
        pipeline.await_all()
    return rows


def in_file(source: Any, folder: Path) -> Path:
    """Return the path of a model, saved if it is in memory."""
    if not isinstance(source, ov.Model):
        return Path(source)
    path = folder / "model.xml"
    ov.save_model(source, path, compress_to_fp16=False)
    return path


def bare_job(compiled: ov.CompiledModel) -> Job:
    request = compiled.create_infer_request()

    def infer(frame: NDArray[np.uint8]) -> list[NDArray[Any]]:
        # It returns copies of the outputs.
        return list(request.infer([frame[None]], share_inputs=True).values())

    return infer


def one_by_one(threads: Threads, frames: Frames, _: int) -> alternation.Burst:
    async def burst(count: int) -> None:
        for index in range(count):
            await threads.infer(frames[index % len(frames)])

    return burst


def at_once(threads: Threads, frames: Frames, _: int) -> alternation.Burst:
    async def burst(count: int) -> None:
        await asyncio.gather(*[threads.infer(frames[index % len(frames)]) for index in range(count)])

    return burst


def streamed(threads: Threads, frames: Frames, slots: int) -> alternation.Burst:
    """In order, with as many frames in flight as a stream of aiohooks."""

    async def burst(count: int) -> None:
        running: deque[asyncio.Future[Any]] = deque()
        for index in range(count):
            if len(running) == 2 * slots:
                await running.popleft()
            running.append(threads.infer(frames[index % len(frames)]))
        while running:
            await running.popleft()

    return burst


def pipeline_one_by_one(pipeline: AsyncPipeline, frames: Frames) -> bare.Run:
    def run(count: int) -> None:
        for index in range(count):
            pipeline.submit_data(frames[index % len(frames)], index)
            pipeline.await_all()
            assert pipeline.get_result(index) is not None

    return run


def pipeline_streamed(pipeline: AsyncPipeline, frames: Frames) -> bare.Run:
    def run(count: int) -> None:
        shown = 0
        for index in range(count):
            if not pipeline.is_ready():
                pipeline.await_any()
            pipeline.submit_data(frames[index % len(frames)], index)
            while pipeline.get_result(shown) is not None:
                shown += 1
        pipeline.await_all()
        while pipeline.get_result(shown) is not None:
            shown += 1
        assert shown == count

    return run


IN_THREADS = {"one by one": one_by_one, "at once": at_once, "streamed": streamed}
PIPELINED = {"one by one": pipeline_one_by_one, "streamed": pipeline_streamed}

if __name__ == "__main__":
    asyncio.run(main())
