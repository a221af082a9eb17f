"""The inferences of a model that runs behind the Open Inference Protocol, as awaitables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import InferenceError, SessionError
from aiohooks.inference.slots import Slots
from aiohooks.open_inference import InferRequest, OutputWish, Tensor

if TYPE_CHECKING:
    from aiohooks.clients.open_inference import OpenInferenceClient  # loads aiohttp


class RemoteQueue:
    """Runs a model's inferences on a server, at most ``slots`` at once, in the order asked for.

    Args:
        client: of the server; closed with the queue.
        model: its name there.
        inputs: names of the inputs, in the order in which they are given.
        outputs: names of the outputs, in the order in which they are wanted.
        slots: inferences at once.
    """

    def __init__(
        self, client: "OpenInferenceClient", model: str, *, inputs: Sequence[str], outputs: Sequence[str], slots: int
    ) -> None:
        self._client = client
        self._model = model
        self._inputs = tuple(inputs)
        self._wishes = tuple(OutputWish(name, is_binary=True) for name in outputs)
        self._slots = Slots(slots)

    @property
    def slots(self) -> int:
        """Inferences that run at once."""
        return self._slots.count

    @property
    def running(self) -> int:
        """Number of inferences that run now."""
        return self._slots.running

    @property
    def waiting(self) -> int:
        """Number of inferences that wait for a slot."""
        return self._slots.waiting

    async def infer(self, inputs: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        """Run one inference; it is given up, there too, when this is cancelled.

        Returns:
            One array for each output.

        Raises:
            InferenceError: the server cannot be reached, refuses, or gives something else.
            InferQueueClosed: the queue is closed, or closed while this inference waited for a slot.
        """
        tensors = tuple(Tensor(name, array) for name, array in zip(self._inputs, inputs, strict=True))
        async with self._slots.one():
            try:
                answer = await self._client.infer(self._model, InferRequest(tensors, self._wishes))
            except SessionError as error:
                raise InferenceError(str(error)) from error
        found = {tensor.name: tensor.array for tensor in answer.outputs}
        if missing := [wish.name for wish in self._wishes if wish.name not in found]:
            raise InferenceError(
                f"{self._client.host}: model {self._model} gave no output {missing[0]!r}, but {sorted(found)}"
            )
        # What was read in place is read-only; a decoder may write into the outputs.
        return tuple(np.array(found[wish.name]) for wish in self._wishes)

    def fail_waiting(self) -> None:
        """Fail the inferences that wait for a slot with `InferQueueClosed`."""
        self._slots.fail_waiting()

    async def aclose(self) -> None:
        """Let what runs finish, fail what waits, and close the connections."""
        await self._slots.aclose()
        await self._client.aclose()
