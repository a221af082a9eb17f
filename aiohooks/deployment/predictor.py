"""One frame through the model, then past the monitors, then past the hooks."""

import time

import anyio

from aiohooks.deployment.attached_monitors import AttachedMonitors
from aiohooks.deployment.inference_counts import InferenceCounts
from aiohooks.deployment.life_cycle import LifeCycle
from aiohooks.deployment.running_hooks import RunningHooks
from aiohooks.errors import DeploymentError, InferQueueClosed
from aiohooks.frame import Frame
from aiohooks.prediction import Prediction
from aiohooks.sources.convert import decoding_threads

LARGE_BYTES = 2 * 1024 * 1024
"""Pictures with more bytes than this are copied for hooks in a worker thread; this much takes half a millisecond."""


class Predictor:
    """Predicts frames and shows the predictions to monitors and hooks.

    Args:
        name: of the deployment.
        life: of the deployment; it has the model.
        monitors: see every prediction first, and may add to it.
        hooks: see it then.

    Attributes:
        counts: what became of the inferences.
    """

    def __init__(self, name: str, life: LifeCycle, monitors: AttachedMonitors, hooks: RunningHooks) -> None:
        self.counts = InferenceCounts()
        self._name = name
        self._life = life
        self._monitors = monitors
        self._hooks = hooks
        self._idle = anyio.Event()

    async def infer(self, frame: Frame, *, seen: bool = True) -> Prediction:
        """Predict one frame.

        What a trigger or an action of these hooks infers is shown to nobody.

        Args:
            frame: the frame.
            seen: show its prediction to the monitors and the hooks.

        Raises:
            InferenceError: the model failed on it.
            DeploymentError: the deployment is not open, or is so in another event loop.
            InferQueueClosed: the deployment closes.
        """
        model = self._life.model
        if not self._life.is_in_its_loop():
            raise DeploymentError(f"deployment {self._name} belongs to another event loop: open one in each")
        inside_a_hook = self._hooks.are_at_work()
        if self._life.state == "closing" and not inside_a_hook:
            raise InferQueueClosed(f"deployment {self._name} is closing; it takes no more work")
        is_shown = seen and not inside_a_hook
        hooks, monitors = (self._hooks.shown, self._monitors.shown) if is_shown else ((), ())
        if hooks and not frame.owned:
            frame = await self.copy_for_hooks(frame)
        counts = self.counts
        counts.under_way += 1
        started = time.monotonic()
        prediction = None
        try:
            prediction = await model.infer(frame)
            counts.done += 1
            counts.recent.append(time.monotonic() - started)
            for monitor in monitors:
                prediction = await monitor.observe(frame, prediction)
            for hook in hooks:
                await hook.see(frame, prediction)
            return prediction
        finally:
            if prediction is None:
                counts.failed += 1
            counts.under_way -= 1
            if not counts.under_way:
                self._idle.set()

    async def infer_unseen(self, frame: Frame) -> Prediction:
        """Predict one frame and show its prediction to no monitor and no hook."""
        return await self.infer(frame, seen=False)

    async def copy_for_hooks(self, frame: Frame) -> Frame:
        """Return a frame whose pixels nobody else can write to, if there are hooks to see it."""
        if not self._hooks.shown:
            return frame
        if frame.image.nbytes <= LARGE_BYTES and frame.image.flags.c_contiguous:
            return frame.snapshot()
        return await anyio.to_thread.run_sync(frame.snapshot, limiter=decoding_threads())

    async def idle(self) -> None:
        """Wait until no inference is under way."""
        while self.counts.under_way:
            if self._idle.is_set():
                self._idle = anyio.Event()
            await self._idle.wait()
