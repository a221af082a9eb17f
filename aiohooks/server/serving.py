"""The deployments that a server puts on the network: the one way to them for every protocol."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from os import PathLike

import anyio

from aiohooks.deployment import Deployment
from aiohooks.errors import DeploymentError
from aiohooks.histogram import Histogram
from aiohooks.server.admission import Admission
from aiohooks.server.bodies import BodyMemory
from aiohooks.server.exchange import Exchange
from aiohooks.server.limits import Limits
from aiohooks.server.refusal import Refusal
from aiohooks.server.uploads import Uploads

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets in which times are counted."""

_DRAINING = "the server is shutting down; ask another one, or this one later"


class Served:
    """One deployment on the network.

    Attributes:
        name: by which clients ask for it.
        deployment: the deployment.
        admission: places for requests.
        streams: places for streams of frames.
        jobs: places for what is inferred while its client asks for the results.
        queue_seconds: how long requests waited for a place.
        inference_seconds: how long they held it: decoding, inference, and handing over to the hooks.
        failed: how many of them ended with an error, or because the client left.
    """

    def __init__(self, name: str, deployment: Deployment, limits: Limits) -> None:
        self.name = name
        self.deployment = deployment
        running = limits.running if limits.running is not None else 2 * deployment.model.slots
        self.admission = Admission(running=running, waiting=limits.waiting, per_client=limits.per_client)
        self.streams = Admission(running=limits.streams, waiting=0, per_client=limits.per_client)
        self.jobs = Admission(running=limits.jobs, waiting=0, per_client=limits.per_client)
        self.queue_seconds = Histogram(SECONDS)
        self.inference_seconds = Histogram(SECONDS)
        self.failed = 0

    @asynccontextmanager
    async def admit(self, *, client: str = "", deadline: float | None = None) -> AsyncIterator[Deployment]:
        """Wait for a place, and hold it in the block.

        Args:
            client: who asks.
            deadline: when the block must have ended, in the clock of `anyio.current_time`; it is cancelled then.

        Raises:
            Refusal: 503, there is no room; 429, the client has enough under way; 504, the deadline has passed.
        """
        asked = anyio.current_time()
        with anyio.CancelScope(deadline=float("inf") if deadline is None else deadline) as patience:
            await self.admission.enter(client)
            started = anyio.current_time()
            self.queue_seconds.add(started - asked)
            try:
                yield self.deployment
            except BaseException:
                self.failed += 1
                raise
            finally:
                seconds = anyio.current_time() - started
                self.inference_seconds.add(seconds)
                self.admission.leave(client, seconds)
        if patience.cancelled_caught:
            raise Refusal(504, f"there was no answer within {anyio.current_time() - asked:.3g} s", retry_after=1)

    def admit_stream(self, *, client: str = "") -> AbstractAsyncContextManager[Deployment]:
        """Hold a place for a stream of frames, which takes as long as it takes.

        Raises:
            Refusal: 503, there are streams enough; 429, the client has enough of them.
        """
        return self._hold(self.streams, client)

    def admit_job(self, *, client: str = "") -> AbstractAsyncContextManager[Deployment]:
        """Hold a place for a job, which takes as long as it takes.

        Raises:
            Refusal: 503, there are jobs enough; 429, the client has enough of them.
        """
        return self._hold(self.jobs, client)

    @asynccontextmanager
    async def _hold(self, admission: Admission, client: str) -> AsyncIterator[Deployment]:
        await admission.enter(client)
        started = anyio.current_time()
        try:
            yield self.deployment
        finally:
            admission.leave(client, anyio.current_time() - started)


class Serving:
    """Deployments by name, open from `open` to `aclose`.

    Args:
        deployments: a deployment, several, or a mapping by the names that clients use. Those that are not open are opened, and
            closed in the end.
        limits: what clients may ask.

    Raises:
        DeploymentError: two have the same name, there is none, or it is something else.
    """

    def __init__(
        self, deployments: Deployment | Iterable[Deployment] | Mapping[str, Deployment], limits: Limits | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.bodies = BodyMemory(self.limits)
        self.uploads = Uploads(self.limits)
        self.draining = anyio.Event()
        self._deployments = _by_name(deployments)
        self._served: dict[str, Served] = {}
        self._opened = AsyncExitStack()

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def __contains__(self, name: object) -> bool:
        return name in self._served

    @property
    def is_ready(self) -> bool:
        """Whether all deployments are open and take requests."""
        return len(self._served) == len(self._deployments) and not self.draining.is_set()

    @property
    def first(self) -> Served:
        """The deployment that is asked where a client names none.

        Raises:
            Refusal: 503, it is not open yet.
        """
        for served in self:
            return served
        raise Refusal(503, "the deployments are not open yet", retry_after=1)

    def find(self, name: str) -> Served:
        """Return the deployment of this name.

        Raises:
            Refusal: 404, there is none.
        """
        try:
            return self._served[name]
        except KeyError:
            known = ", ".join(self._deployments)
            raise Refusal(404, f"there is no deployment {name[:100]!r} here; there are: {known}") from None

    def admit(self, name: str, exchange: Exchange) -> AbstractAsyncContextManager[Deployment]:
        """Wait for a place at the deployment of this name, and hold it in the block, until the request's deadline.

        Raises:
            Refusal: 404, there is none of this name; and as `Served.admit`.
        """
        served = self.find(name)
        exchange.deployment = name
        return served.admit(client=exchange.client, deadline=exchange.deadline)

    def admit_stream(self, name: str, exchange: Exchange) -> AbstractAsyncContextManager[Deployment]:
        """Hold a place for a stream of frames through the deployment of this name in the block.

        Raises:
            Refusal: 404, there is none of this name; and as `Served.admit_stream`.
        """
        served = self.find(name)
        exchange.deployment = name
        return served.admit_stream(client=exchange.client)

    def admit_job(self, name: str, exchange: Exchange) -> AbstractAsyncContextManager[Deployment]:
        """Hold a place for a job of the deployment of this name in the block.

        Raises:
            Refusal: 404, there is none of this name; and as `Served.admit_job`.
        """
        served = self.find(name)
        exchange.deployment = name
        return served.admit_job(client=exchange.client)

    async def open(self) -> None:
        """Open the deployments that are not open.

        Raises:
            LoadError: a model cannot be loaded.
        """
        try:
            for name, deployment in self._deployments.items():
                if not deployment.is_open:
                    await deployment.open()
                    self._opened.push_async_callback(deployment.aclose)
                self._served[name] = Served(name, deployment, self.limits)
        except BaseException:
            await self.aclose()
            raise

    def drain(self) -> None:
        """Be ready no more, and begin no more streams and jobs. Requests that still come are answered, over connections that then close."""
        self.draining.set()
        for served in self:
            served.streams.close(_DRAINING)
            served.jobs.close(_DRAINING)

    async def aclose(self) -> None:
        """Close the deployments that were opened here, after their hooks have finished."""
        self.drain()
        for served in self:
            served.admission.close(_DRAINING)
        with anyio.CancelScope(shield=True):  # each has a time limit of its own
            await self._opened.aclose()


def _by_name(
    deployments: Deployment | Iterable[Deployment] | Mapping[str, Deployment],
) -> dict[str, Deployment]:
    if isinstance(deployments, Mapping):
        named = dict(deployments)
        _check(named.values())
    else:
        given = [deployments] if isinstance(deployments, Deployment | str | PathLike) else list(deployments)
        _check(given)
        named = {deployment.name: deployment for deployment in given}
        if len(named) != len(given):
            raise DeploymentError(
                "two deployments have the same name; give a mapping from names of your own: {'one': …, 'other': …}"
            )
    if not named:
        raise DeploymentError("there is no deployment to serve; give at least one")
    return named


def _check(given: Iterable[object]) -> None:
    for one in given:
        if not isinstance(one, Deployment):
            raise DeploymentError(f"deployments are served, such as Deployment.load(path), and not {one!r}")
