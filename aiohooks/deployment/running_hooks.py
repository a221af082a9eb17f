"""The hooks of a deployment: those that see its predictions, and those that were taken away and finish what they have seen."""

import logging
from collections.abc import Iterator
from textwrap import shorten

import anyio

from aiohooks.deployment.frame_model import FrameModel
from aiohooks.deployment.life_cycle import LifeCycle
from aiohooks.errors import DeploymentError, SpecError
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.outcome import OutcomeFeed
from aiohooks.hooks.running_hook import RunningHook, at_work
from aiohooks.hooks.triggers import introduce, named_labels

logger = logging.getLogger("aiohooks")


class RunningHooks:
    """Hooks that run for as long as a deployment is open.

    Args:
        name: of the deployment.
        life: of the deployment; its tasks run the hooks.
        feed: takes the outcomes of all of them.

    Attributes:
        shown: those that see predictions, in the order in which they were added.
    """

    def __init__(self, name: str, life: LifeCycle, feed: OutcomeFeed) -> None:
        self.shown: tuple[RunningHook, ...] = ()
        self._name = name
        self._life = life
        self._feed = feed
        self._retiring: set[RunningHook] = set()

    def are_at_work(self) -> bool:
        """Tell whether the caller is one of their triggers or actions."""
        return self._feed in at_work.get()

    def add(self, hook: PostInferenceHook) -> RunningHook:
        """Add a hook, and start it if the deployment is open.

        Raises:
            DeploymentError: the deployment is closed.
            SpecError: it is not a hook, or the model does not give what its trigger needs.
        """
        if self._life.is_ending:
            raise DeploymentError(f"deployment {self._name} is {self._life.state}; it takes no more hooks")
        if not isinstance(hook, PostInferenceHook):
            raise SpecError(f"add_hook takes a PostInferenceHook(trigger=…, action=…), got {hook!r}")
        running = RunningHook(hook, self._feed)
        if self._life.state == "open":
            introduce(hook.trigger, self._life.model.describe())
            self._start(running)
        self.shown = (*self.shown, running)
        return running

    def remove(self, hook: RunningHook | PostInferenceHook, drain_timeout: float) -> None:
        """Take a hook away; what it has seen is finished, and delivered for as many seconds, in the background.

        Raises:
            DeploymentError: it is not a hook of this deployment.
        """
        found = [running for running in self.shown if hook in (running, running.hook, running.origin)]
        if not found:
            raise DeploymentError(f"{hook!r} is not a hook of deployment {self._name}")
        self.shown = tuple(running for running in self.shown if running not in found)
        if self._life.state in ("open", "closing"):
            for running in found:
                self._retiring.add(running)
                self._life.tasks.start_soon(self._retire, running, drain_timeout)

    def introduce(self, model: FrameModel) -> None:
        """Tell every trigger what model it will see the predictions of.

        Raises:
            SpecError: the model does not give what a trigger needs.
        """
        for hook in self.shown:
            introduce(hook.hook.trigger, model.describe())

    def start(self) -> None:
        """Start those that were added before the deployment was open."""
        for hook in self.shown:
            self._start(hook)

    async def drained(self) -> None:
        """Wait until they have finished what they saw."""
        async with anyio.create_task_group() as draining:
            for hook in self._all():
                draining.start_soon(hook.drained)

    async def delivered(self) -> None:
        """Wait until what they have kept is delivered."""
        async with anyio.create_task_group() as delivering:
            for hook in self._all():
                delivering.start_soon(hook.delivered)

    async def aclose(self) -> None:
        """Cancel what is left of them, and count it."""
        async with anyio.create_task_group() as closing:
            for hook in self._all():
                closing.start_soon(hook.aclose)

    def _all(self) -> Iterator[RunningHook]:
        return iter((*self.shown, *self._retiring))

    def _start(self, hook: RunningHook) -> None:
        known = [label.name for label in self._life.model.labels]
        unknown = sorted(named_labels(hook.hook.trigger).difference(known))
        if unknown and known:
            logger.warning(
                "hook %s asks for labels that %s does not know: %s; it knows %s",
                hook.name,
                self._name,
                unknown,
                shorten(", ".join(known), 200, placeholder=" …"),
            )
        hook.start(self._life.tasks.start_soon)

    async def _retire(self, hook: RunningHook, drain_timeout: float) -> None:
        await hook.drained()
        with anyio.move_on_after(drain_timeout):
            await hook.delivered()
        await hook.aclose()
        self._retiring.discard(hook)
