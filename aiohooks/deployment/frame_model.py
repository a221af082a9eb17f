"""What a deployment needs of a model: frames in, predictions out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from aiohooks.annotation import Label
from aiohooks.frame import Frame
from aiohooks.inference.last_layer import LastLayer
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.prediction import Prediction


class FrameModel(Protocol):
    """Turns frames into predictions."""

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes it can predict."""

    @property
    def slots(self) -> int:
        """Inferences that run at once."""

    @property
    def explains(self) -> bool | None:
        """Whether predictions have a feature vector or saliency maps; None if that is known only from them."""

    def describe(self) -> ModelDescription:
        """Say what it is and how it runs."""

    def last_layer(self) -> LastLayer | None:
        """Return the weights and the bias of a classifier's last layer, where it was found. Blocks."""

    async def infer(self, frame: Frame) -> Prediction:
        """Predict one frame."""

    def fail_waiting(self) -> None:
        """Fail the inferences that have not begun to run."""

    async def aclose(self) -> None:
        """Let what runs finish, fail what waits."""


@runtime_checkable
class TensorModel(Protocol):
    """A model that also takes its inputs as they are."""

    def describe(self) -> ModelDescription:
        """Say what its inputs and outputs are."""

    async def infer_tensors(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Return the outputs by name, from all inputs by name."""


ModelOpener = Callable[[], Awaitable[FrameModel]]
"""Reads and compiles a model, or connects to one."""
