"""Infer requests of one compiled model, as awaitables.

The only place where foreign threads meet the event loop. `openvino.AsyncInferQueue` would do the same, but a
request that fails inside it blocks its slot for good and it hides which slot a request got, so the slots are
kept here and the requests below it (`openvino.InferRequest`) are used directly.

Five rules keep it safe; they follow from how OpenVINO behaves:

- A callback that raises ends the process, so none can.
- A failed inference never calls its callback, so a timer looks for failed requests while any run.
- Output memory belongs to the request, so outputs are copied before it is started again, or written into arrays of
  their own (`OutputMemory`).
- A slot belongs to its request until that settles, even if nobody awaits it any more.
- A request must not be destroyed before OpenVINO's thread is through with it, so closing waits for that in a
  worker thread, and a queue that was never closed is kept alive until the interpreter exits.
"""

import asyncio
import atexit
import contextlib
import threading
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from aiohooks.completions import Completions, listen
from aiohooks.errors import InferenceError, InferQueueClosed
from aiohooks.inference.openvino_errors import reason
from aiohooks.inference.output_memory import OutputMemory

Outputs = tuple[NDArray[Any], ...]
"""One array per output of the model."""

WATCHDOG_SECONDS = 0.05
"""How often running requests are looked at for failure."""

GRIP_SECONDS = 5.0
"""How long closing waits, at most, for OpenVINO's thread to let go of a callback; it takes microseconds."""

_unclosed: set["InferQueue"] = set()


class _Running(NamedTuple):
    future: asyncio.Future[Outputs]
    # OpenVINO reads and writes these in place and does not keep them alive.
    inputs: Sequence[NDArray[Any]]
    outputs: Outputs


class InferQueue:
    """Runs inferences of a compiled model, at most ``slots`` at once, in the order asked for.

    It belongs to the event loop in which it is first used.

    Args:
        compiled_model: the model on its device.
        slots: number of infer requests; by default what the device says is optimal.
    """

    def __init__(self, compiled_model: ov.CompiledModel, slots: int | None = None) -> None:
        if slots is None:
            slots = int(compiled_model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        if slots < 1:
            raise ValueError(f"an InferQueue needs at least one slot, got {slots}")
        self.slots = slots
        self._idle = list(range(slots))
        self._running: dict[int, _Running] = {}
        self._waiting: OrderedDict[asyncio.Future[Outputs], Sequence[NDArray[Any]]] = OrderedDict()
        self._copied: dict[int, Outputs | Exception] = {}  # by callbacks
        self._watchdog: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._completions: Completions | None = None
        self._closed = False
        self._drained = anyio.Event()
        self._retiring = threading.Lock()
        self._requests = [compiled_model.create_infer_request() for _ in range(slots)]
        self._starts = [_lean_start(request) for request in self._requests]
        self._readers = [_output_reader(compiled_model, request) for request in self._requests]
        self._memory = OutputMemory.best_for(compiled_model)
        self._layouts: list[tuple[tuple[int, ...], Any]] = []  # of outputs that are written in place
        if self._memory is OutputMemory.WRITTEN_IN_PLACE:
            self._layouts = [(tuple(out.shape), out.get_element_type().to_dtype()) for out in compiled_model.outputs]
        self._grips: list[_Grip] = []
        _unclosed.add(self)

    @property
    def running(self) -> int:
        """Number of inferences that run now."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Number of inferences that wait for a slot."""
        return len(self._waiting)

    async def infer(self, inputs: Sequence[NDArray[Any]]) -> Outputs:
        """Run one inference.

        Args:
            inputs: one array per model input, in the model's order, with the input's dtype. They are read in
                place: do not write to them before the result is there. Read-only or non-contiguous ones are copied.

        Returns:
            One fresh array per model output, in the model's order.

        Raises:
            InferenceError: OpenVINO refused the inputs or failed on them.
            InferQueueClosed: the queue is closed, or closed while this inference waited for a slot.
        """
        if self._closed:
            raise InferQueueClosed("the inference queue is closed; load the deployment again to go on")
        if self._loop is None:
            self._listen(asyncio.get_running_loop())
        assert self._loop is not None
        future: asyncio.Future[Outputs] = self._loop.create_future()
        try:
            if self._idle:
                slot = self._idle.pop()
                if not self._start(slot, future, inputs):
                    self._serve_waiting(slot)
            else:
                self._waiting[future] = inputs
            return await future
        finally:
            self._waiting.pop(future, None)
            del future  # a failure holds this frame by its traceback, and the future holds the failure

    def fail_waiting(self) -> None:
        """Fail the inferences that wait for a slot with `InferQueueClosed`."""
        while self._waiting:
            future, _ = self._waiting.popitem(last=False)
            if not future.done() and not future.get_loop().is_closed():
                future.set_exception(InferQueueClosed("the inference queue closed before this inference could run"))

    async def aclose(self) -> None:
        """Take no more work, let what runs finish, fail what waits, and destroy the requests safely."""
        self._closed = True
        self.fail_waiting()
        with anyio.CancelScope(shield=True):
            if self._loop is asyncio.get_running_loop():
                while self._running:
                    if self._drained.is_set():
                        self._drained = anyio.Event()
                    await self._drained.wait()
            if self._watchdog is not None:
                self._watchdog.cancel()
            await anyio.to_thread.run_sync(self._retire, limiter=anyio.CapacityLimiter(1))
            if self._completions is not None:
                self._completions.close()
                self._completions = None

    def _serve_waiting(self, slot: int) -> None:
        """Give the free slot to the first inference that waits and can be started."""
        while self._waiting:
            future, inputs = self._waiting.popitem(last=False)
            if not future.done() and self._start(slot, future, inputs):
                return
        self._idle.append(slot)
        if self._closed and not self._running:
            self._drained.set()

    def _start(self, slot: int, future: asyncio.Future[Outputs], inputs: Sequence[NDArray[Any]]) -> bool:
        assert self._loop is not None
        try:
            arrays = [_shareable(array) for array in inputs]
            tensors = [ov.Tensor(array, shared_memory=True) for array in arrays]
            outputs = self._set_outputs(slot) if self._layouts else ()
            self._starts[slot](tensors[0] if len(tensors) == 1 else dict(enumerate(tensors)), None)
        except Exception as error:
            _fail(future, error.with_traceback(None))
            return False
        self._running[slot] = _Running(future, arrays, outputs)
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(WATCHDOG_SECONDS, self._look_for_failures)
        return True

    def _set_outputs(self, slot: int) -> Outputs:
        arrays = tuple([np.empty(shape, dtype) for shape, dtype in self._layouts])
        for index, array in enumerate(arrays):
            self._requests[slot].set_output_tensor(index, ov.Tensor(array, shared_memory=True))
        return arrays

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._completions = listen(loop, self.slots, self._on_completion)
        for slot, request in enumerate(self._requests):
            tell, argument = self._completions.teller(slot)
            callback = self._copying(slot, tell) if self._memory is OutputMemory.COPIED_IN_CALLBACK else tell
            self._grips.append(_Grip(callback))
            request.set_callback(callback, argument)

    def _copying(self, slot: int, tell: Callable[[Any], None]) -> Callable[[Any], None]:
        """Make the callback that copies a request's outputs; it runs in a thread of OpenVINO and must never raise."""
        read_outputs, copied = self._readers[slot], self._copied

        def copy_and_tell(argument: Any) -> None:  # pragma: no cover  # in OpenVINO's threads coverage sees nothing
            try:
                copied[slot] = read_outputs()
            except Exception as error:
                copied[slot] = error.with_traceback(None)  # it would keep the callback alive, see _Grip
            tell(argument)

        return copy_and_tell

    def _on_completion(self, slot: int) -> None:
        outcome: Outputs | Exception
        if self._memory is OutputMemory.COPIED_ON_LOOP:
            try:
                outcome = self._readers[slot]()
            except Exception as error:
                outcome = error.with_traceback(None)
        elif self._memory is OutputMemory.WRITTEN_IN_PLACE:
            outcome = self._running[slot].outputs
        else:
            outcome = self._copied.pop(slot)
        self._settle(slot, outcome)

    def _settle(self, slot: int, outcome: Outputs | Exception) -> None:
        future = self._running.pop(slot).future
        if not future.done():
            if isinstance(outcome, Exception):
                _fail(future, outcome)
            else:
                future.set_result(outcome)
        self._serve_waiting(slot)

    def _look_for_failures(self) -> None:
        assert self._loop is not None
        self._watchdog = None
        for slot in list(self._running):
            try:
                self._requests[slot].wait_for(0)
            except Exception as error:
                self._settle(slot, error.with_traceback(None))
        if self._running and self._watchdog is None:
            self._watchdog = self._loop.call_later(WATCHDOG_SECONDS, self._look_for_failures)

    def _retire(self) -> None:
        """Wait until OpenVINO's threads are through with the requests, then drop them."""
        with self._retiring:
            for request in self._requests:
                with contextlib.suppress(Exception):  # a failed request was reported to its awaiter
                    request.wait()
                # This also breaks the cycle request → callback → queue.
                request.set_callback(_no_callback, None)
            for grip in self._grips:
                grip.loosened.wait(GRIP_SECONDS)
            self._starts.clear()
            self._grips.clear()
            self._readers.clear()
            self._requests.clear()
            _unclosed.discard(self)


class _Grip:
    """Tells when OpenVINO has let go of a callback.

    Its thread still uses a request for a moment after `InferRequest.wait` has returned: it puts the callback back
    in its place, or destroys it if there is a new one. A request destroyed in that moment hangs or crashes, and so
    does a thread that destroys a callback while the interpreter exits.
    """

    def __init__(self, callback: Callable[[object], None]) -> None:
        self.loosened = threading.Event()
        self._reference = weakref.ref(callback, lambda _: self.loosened.set())


def _lean_start(request: ov.InferRequest) -> Callable[[Any, None], None]:
    # The Python method spends more on dispatching its arguments than a small model on inferring; the C++ method
    # below it takes tensors as they are.
    start: Callable[[Any, None], None] = super(ov.InferRequest, request).start_async
    return start


def _output_reader(compiled_model: ov.CompiledModel, request: ov.InferRequest) -> Callable[[], Outputs]:
    """Make the function that copies a request's outputs; tensors of fixed shape are looked up once."""
    outputs = range(len(compiled_model.outputs))
    if any(output.partial_shape.is_dynamic for output in compiled_model.outputs):
        return lambda: tuple(np.array(request.get_output_tensor(index).data) for index in outputs)
    views = [request.get_output_tensor(index).data for index in outputs]
    if len(views) == 1:
        view = views[0]
        return lambda: (view.copy(),)
    return lambda: tuple([view.copy() for view in views])


def _shareable(array: NDArray[Any]) -> NDArray[Any]:
    flags = array.flags
    return array if flags.c_contiguous and flags.writeable else np.array(array, order="C")


def _fail(future: asyncio.Future[Outputs], error: Exception) -> None:
    failure = InferenceError(f"OpenVINO failed on this input: {reason(error)}")
    failure.__cause__ = error
    future.set_exception(failure)


def _no_callback(_: object) -> None:
    """Replace the callback of a request that is about to be dropped."""


@atexit.register
def _retire_unclosed() -> None:
    for queue in list(_unclosed):
        warnings.warn(
            "an InferQueue was never closed; use `async with` or await aclose()", ResourceWarning, stacklevel=1
        )
        queue._retire()
