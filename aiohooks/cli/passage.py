"""A source on its way through a deployment, and its annotated frames on theirs to the disk."""

from collections.abc import Callable

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream

from aiohooks.cli.annotated import Job, Output
from aiohooks.cli.ending import Ending, FramesUntil
from aiohooks.deployment import Deployment
from aiohooks.errors import AiohooksError
from aiohooks.inference.result import Result
from aiohooks.sources import FrameSource

Take = Callable[[Result], None]
"""Takes note of a result; called in the order of the frames."""


async def infer(deployment: Deployment, frames: FrameSource, take: Take, ending: Ending) -> None:
    """Infer the frames of a source, until it or the run ends."""
    async with deployment.stream(FramesUntil(frames, ending)) as results:
        async for result in results:
            take(result)


async def infer_and_write(
    deployment: Deployment, frames: FrameSource, take: Take, ending: Ending, output: Output
) -> int:
    """Infer the frames of a source, until it or the run ends, and write them annotated, in worker threads.

    A frame waits until a thread is free to write it, and the source waits for the frame. The run ends when one cannot
    be written.

    Returns:
        Number of frames written.
    """
    jobs, waiting = anyio.create_memory_object_stream[Job](0)
    writing = _Writing(ending)
    async with anyio.create_task_group() as writers:
        for _ in range(output.workers):
            writers.start_soon(writing.work, waiting.clone())
        waiting.close()
        async with jobs, deployment.stream(FramesUntil(frames, ending)) as results:
            async for result in results:
                take(result)
                job = output.job(result)
                if job is not None:
                    await jobs.send(job)
    frames_written = writing.done
    await writing.do(output.finish)
    return frames_written


class _Writing:
    """Does jobs; after one that failed, no more."""

    def __init__(self, ending: Ending) -> None:
        self.done = 0
        self._failed = False
        self._ending = ending

    async def work(self, jobs: MemoryObjectReceiveStream[Job]) -> None:
        async with jobs:
            async for job in jobs:
                await self.do(job)

    async def do(self, job: Job) -> None:
        if self._failed:
            return
        try:
            await anyio.to_thread.run_sync(job)
            self.done += 1
        except AiohooksError as error:
            self._failed = True
            self._ending.end(str(error), 1)
