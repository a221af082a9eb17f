"""What runs the inferences of a model: here, or elsewhere."""

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray


class Queue(Protocol):
    """Runs inferences of a model, at most ``slots`` at once, in the order asked for."""

    @property
    def slots(self) -> int:
        """Inferences that run at once."""

    async def infer(self, inputs: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        """Return the outputs in the model's order, from the inputs in the model's order."""

    def fail_waiting(self) -> None:
        """Fail the inferences that wait for a slot with `InferQueueClosed`."""

    async def aclose(self) -> None:
        """Let what runs finish, and fail what waits."""
