"""Jobs at work: each has a task, a time after which nobody is thought to want it, and news for who waits."""

import logging
import uuid
from collections.abc import Awaitable, Callable

import anyio

from aiohooks.server.refusal import Refusal, refusal_of
from aiohooks.server.supervisely.jobs import Failure, Job
from aiohooks.task_owner import TaskOwner

logger = logging.getLogger("aiohooks.server")

MAX_JOBS = 256
"""That are known at once; of more, those that ended first are forgotten."""

MAX_RESULTS = 512
"""Of one job that wait for its client; its work waits while there are so many."""

MAX_RESULT_BYTES = 16 * 1024 * 1024
"""Of those results."""

MAX_LEFT_BYTES = 128 * 1024 * 1024
"""Of results that jobs which have ended still hold."""

CLEARED_SECONDS = 60.0
"""How long a job is known after its client is done with it, since clients ask on."""


class JobAtWork:
    """A job with its task.

    Args:
        job: its state.
        idle_seconds: after which it is stopped and forgotten if nobody asks for it.

    Attributes:
        job: its state.
        changed: set when the state has changed, and replaced then.
    """

    def __init__(self, job: Job, idle_seconds: float) -> None:
        self.job = job
        self.changed = anyio.Event()
        self.scope = anyio.CancelScope()
        self._idle_seconds = idle_seconds
        self.expires = anyio.current_time() + idle_seconds
        self.expires_sooner = anyio.Event()

    def tell(self) -> None:
        """Wake who waits for something new."""
        self.changed.set()
        self.changed = anyio.Event()

    def asked(self) -> None:
        """Remember that somebody wants it."""
        self.expires = max(self.expires, anyio.current_time() + self._idle_seconds)

    def stop(self) -> None:
        """Stop its work; results that are there can still be taken."""
        if not self.job.has_ended:
            self.job.stop()
            self.scope.cancel()
            self.tell()

    def clear(self) -> None:
        """Stop its work and drop its results."""
        self.stop()
        self.job.take(None, most=MAX_RESULTS, most_bytes=2 * MAX_RESULT_BYTES)
        self.expires = anyio.current_time() + CLEARED_SECONDS
        self.expires_sooner.set()

    async def add(self, result: bytes) -> None:
        """Add a result, once there is room for it."""
        while not self.job.has_room:
            await self.changed.wait()
        self.job.add(result)
        self.tell()

    async def wait_for_results(self, first: int | None, seconds: float) -> None:
        """Wait until there are results from this number on, or it has ended; no longer than this."""
        with anyio.move_on_after(seconds):
            while not self.job.waits_after(first) and not self.job.has_ended:
                await self.changed.wait()


Work = Callable[[JobAtWork], Awaitable[None]]
"""What a job does; it adds results."""


class Jobs:
    """The jobs of a server, at work from `open` to `aclose`.

    Args:
        idle_seconds: after which a job is stopped and forgotten if nobody asks for it.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._jobs: dict[str, JobAtWork] = {}
        self._owner = TaskOwner("jobs of the server")

    def __len__(self) -> int:
        return len(self._jobs)

    async def open(self) -> None:
        """Be ready to start jobs."""
        await self._owner.open()

    async def aclose(self) -> None:
        """Stop all jobs and forget them."""
        self.stop_all()
        await self._owner.aclose()
        self._jobs.clear()

    def stop_all(self) -> None:
        """Stop all jobs; their results can still be taken."""
        for at_work in self._jobs.values():
            at_work.stop()

    def create(self) -> JobAtWork:
        """Return a new job, which `start` sets to work.

        Raises:
            Refusal: 503, there are jobs enough, and none has ended.
        """
        self._make_room()
        identity = uuid.uuid4().hex
        job = Job(identity, most_results=MAX_RESULTS, most_bytes=MAX_RESULT_BYTES)
        at_work = self._jobs[identity] = JobAtWork(job, self._idle_seconds)
        return at_work

    def start(self, at_work: JobAtWork, work: Work) -> None:
        """Set a job to work; the time in which somebody has to ask for it begins now, not with its upload."""
        at_work.asked()
        self._owner.start_soon(self._live, at_work, work)

    def forget(self, at_work: JobAtWork) -> None:
        """Take back a job that was not started."""
        self._jobs.pop(at_work.job.identity, None)

    def find(self, identity: str) -> JobAtWork | None:
        """Return a job, which somebody wants, as this shows; None if there is none."""
        at_work = self._jobs.get(identity)
        if at_work is not None:
            at_work.asked()
        return at_work

    async def _live(self, at_work: JobAtWork, work: Work) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._work, at_work, work)
                while (left := at_work.expires - anyio.current_time()) > 0:
                    with anyio.move_on_after(left):
                        await at_work.expires_sooner.wait()
                        at_work.expires_sooner = anyio.Event()
                tasks.cancel_scope.cancel()
        finally:
            self.forget(at_work)

    async def _work(self, at_work: JobAtWork, work: Work) -> None:
        job, is_whole = at_work.job, False
        try:
            with at_work.scope:
                await work(at_work)
                is_whole = True
        except Exception as error:
            refusal = refusal_of(error)
            if refusal.status >= 500 and not isinstance(error, Refusal):
                logger.exception("job %s failed", job.identity)
            job.fail(Failure(type(error).__name__, str(refusal)))
        finally:
            job.end(is_whole=is_whole)
            at_work.tell()

    def _make_room(self) -> None:
        ended = [at_work for at_work in self._jobs.values() if at_work.job.has_ended]
        left = sum(at_work.job.waiting_bytes for at_work in ended)
        for at_work in ended:
            if len(self._jobs) < MAX_JOBS and left <= MAX_LEFT_BYTES:
                return
            left -= at_work.job.waiting_bytes
            self.forget(at_work)
            at_work.expires = 0.0
            at_work.expires_sooner.set()
        if len(self._jobs) >= MAX_JOBS:
            raise Refusal(503, "there are jobs enough; clear those that you are done with", retry_after=5)
