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
    deployment: Deployment, frames: FrameSource, take: Take, ending: Ending, writing: "Writing"
) -> None:
    """Infer the frames of a source, until it or the run ends, and write them annotated.

    A frame waits until a thread is free to write it, and the source waits for the frame.
    """
    jobs, waiting = anyio.create_memory_object_stream[Job](0)
    try:
        async with anyio.create_task_group() as writers:
            for _ in range(writing.output.workers):
                writers.start_soon(writing.work, waiting.clone())
            waiting.close()
            async with jobs, deployment.stream(FramesUntil(frames, ending)) as results:
                async for result in results:
                    take(result)
                    job = writing.output.job(result)
                    if job is not None:
                        await jobs.send(job)
    finally:
        with anyio.CancelScope(shield=True):  # a video that is not finished cannot be played
            await writing.finish()


class Writing:
    """Writes to an output in worker threads; a frame that cannot be written is the last, and ends the run.

    Attributes:
        output: where to.
        frames: frames written.
    """

    def __init__(self, output: Output, ending: Ending) -> None:
        self.output = output
        self.frames = 0
        self._failed = False
        self._ending = ending

    async def work(self, jobs: MemoryObjectReceiveStream[Job]) -> None:
        """Do jobs until there are no more."""
        async with jobs:
            async for job in jobs:
                if await self._does(job):
                    self.frames += 1

    async def finish(self) -> None:
        """Complete what was begun; of a video that cannot be completed no frame counts."""
        if not self._failed and not await self._does(self.output.finish):
            self.frames = 0

    async def _does(self, job: Job) -> bool:
        if self._failed:
            return False
        try:
            await anyio.to_thread.run_sync(job)
        except AiohooksError as error:
            self._failed = True
            self._ending.end(str(error), 1)
            return False
        return True
