"""What goes on behind the page while somebody watches."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
from aiohttp import web

from aiohooks.errors import AiohooksError
from aiohooks.hooks.background import lower_priority
from aiohooks.one_thread import OneThread
from aiohooks.server.answers import encode
from aiohooks.server.in_order import in_order
from aiohooks.server.live.audience import Audience
from aiohooks.server.live.drawing import draw, small_copy
from aiohooks.server.live.drift_charts import SHORTEST_PAUSE, drift_pictures, pause_for
from aiohooks.server.live.latest import Latest
from aiohooks.server.live.pace import pause_after
from aiohooks.server.live.shown import Shown
from aiohooks.server.live.sign_in import SignedIn
from aiohooks.server.live.troubles import Troubles
from aiohooks.server.serving import Serving
from aiohooks.task_owner import TaskOwner

logger = logging.getLogger("aiohooks.server")

FIGURES_SECONDS = 1.0
"""Between two events with figures."""


class LivePage:
    """Watches deployments for browsers. While there are none, it does nothing.

    Pictures are drawn and encoded in one thread of low priority, one after the other, at most five a second for all deployments
    together and fewer where that would take more than a hundredth of the processors; each is made once, for all browsers.

    Args:
        serving: what is watched.
        takes_requests: whether somebody can send requests to it.

    Attributes:
        shown: the deployments, by name.
        audience: the browsers.
        figures: the latest event, encoded.
        drawn: its version grows with every picture.
        troubles: the log's warnings and errors.
        signed_in: browsers that have sent the token.
    """

    def __init__(self, serving: Serving, *, takes_requests: bool = True) -> None:
        self.serving = serving
        self._takes_requests = takes_requests
        self.shown: dict[str, Shown] = {}
        self.audience = Audience()
        self.figures: Latest[bytes] = Latest()
        self.drawn: Latest[int] = Latest()
        self.troubles = Troubles()
        self.signed_in = SignedIn()
        self._came = anyio.Event()
        self._drift_due = 0.0
        self._pictures = OneThread("aiohooks live pictures", lower_priority)
        self._charts = OneThread("aiohooks live charts", lower_priority)

    async def hold(self, _: web.Application) -> AsyncIterator[None]:
        """Be there from the start of an application to its end; what it serves must be open before."""
        self.shown = {
            served.name: Shown(served, self._has_come, takes_requests=self._takes_requests) for served in self.serving
        }
        log = logging.getLogger("aiohooks")
        log.addHandler(self.troubles)
        owner = TaskOwner("aiohooks live page")
        await owner.open()
        owner.start_soon(self._go_on, self._watch)
        yield
        log.removeHandler(self.troubles)
        with anyio.CancelScope(shield=True):
            await owner.aclose()
            await self._pictures.aclose()
            await self._charts.aclose()

    async def _watch(self) -> None:
        """Wait until somebody watches, and work until nobody does."""
        await self.audience.there()
        try:
            for shown in self.shown.values():
                shown.begin()
            async with anyio.create_task_group() as tasks:
                for work in (self._tell, self._draw, self._read_drift):
                    tasks.start_soon(self._go_on, work)
                await self.audience.gone()
                tasks.cancel_scope.cancel()
        finally:
            for shown in self.shown.values():
                shown.end()

    async def _go_on(self, work: Any) -> None:
        """Do some work again and again; what goes wrong in it is logged, and must not end the page."""
        while True:
            try:
                await work()
            except Exception:
                logger.exception("the live page could not be made")
                await anyio.sleep(SHORTEST_PAUSE)

    async def _tell(self) -> None:
        """Encode the figures, once for all."""
        for shown in self.shown.values():
            shown.take_outcomes()
        told = {
            "ready": self.serving.is_ready,
            "browsers": self.audience.count,
            "stalled": self.audience.stalled,
            "troubles": self.troubles.count,
            "deployments": await in_order(shown.figures for shown in self.shown.values()),
        }
        self.figures.set(encode(told))
        await anyio.sleep(FIGURES_SECONDS)

    async def _draw(self) -> None:
        """Draw a picture of each kind, and after each rest for as long as it asks for."""
        waiting = [shown for shown in self.shown.values() if shown.collected.waits]
        if waiting:
            await self._draw_collected(min(waiting, key=lambda shown: shown.collected.seconds))
        found: Shown | None = None
        with anyio.move_on_after(FIGURES_SECONDS):  # without inferences, too, hooks collect
            found = await self._next_sighting()
        if found is not None:
            drawn = await self._pictures.run(draw, found.served.name, *found.watch.take())
            found.watch.seconds = anyio.current_time()
            found.watch.picture.set(drawn)
            self.drawn.set(self.drawn.version)
            await anyio.sleep(pause_after(drawn.seconds, self.audience.count))

    async def _draw_collected(self, shown: Shown) -> None:
        hook, name, path = shown.collected.next_file()
        shown.collected.seconds = anyio.current_time()
        try:
            picture, seconds = await self._pictures.run(small_copy, path)
        except (AiohooksError, OSError) as error:  # it may have been moved, or be of another kind
            logger.debug("the picture %s cannot be shown: %s", path, error)
        else:
            shown.collected.keep(hook, name, picture)
            await anyio.sleep(pause_after(seconds, 0))

    async def _next_sighting(self) -> Shown:
        """Return the deployment whose picture is the oldest of those that have a new one."""
        while True:
            self._came = anyio.Event()
            for shown in self.shown.values():
                shown.watch.want()
            there = [shown for shown in self.shown.values() if shown.watch.has_one]
            if there:
                return min(there, key=lambda shown: shown.watch.seconds)
            await self._came.wait()

    def _has_come(self) -> None:
        self._came.set()

    async def _read_drift(self) -> None:
        """Draw what drift monitors have written, one after the other; browsers that come and go do not make it happen more often."""
        await anyio.sleep_until(self._drift_due)
        spent = 0.0
        for shown in self.shown.values():
            for monitor in shown.drift_monitors:
                with anyio.CancelScope(shield=True):  # half a reading costs as much, and shows nothing
                    shown.drift[monitor.name], seconds = await self._charts.run(drift_pictures, monitor)
                shown.drift_version += 1
                spent += seconds
                self._drift_due = anyio.current_time() + pause_for(spent)
        if not spent:
            await anyio.sleep(SHORTEST_PAUSE)
