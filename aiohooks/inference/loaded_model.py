"""A model that is read, wrapped and compiled: what a `Model` runs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
from numpy.typing import NDArray

from aiohooks.annotation import Label
from aiohooks.frame import Frame
from aiohooks.inference.last_layer import LastLayer
from aiohooks.inference.tiling import Tiled, Tiling
from aiohooks.prediction import Prediction, Task

if TYPE_CHECKING:
    import openvino as ov


class TensorDescription(msgspec.Struct, frozen=True):
    """One input or output: its name, shape (-1: any size) and element type as OpenVINO calls it."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class TrainedModel(msgspec.Struct, frozen=True):
    """What Geti says about a model that it trained.

    Attributes:
        name: of the model there.
        precision: such as ``FP16`` or ``INT8``.
        optimization: how it was optimised, such as ``MO`` or ``POT``.
        has_xai_head: whether it explains what it sees.
    """

    name: str = ""
    precision: tuple[str, ...] = ()
    optimization: str = ""
    has_xai_head: bool = False


class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is and how it runs.

    Attributes:
        name: of the model.
        model_type: Model API's wrapper, or the decoder.
        task: what it does; None if a decoder decides.
        labels: names of the label table.
        inputs: as the compiled model takes them.
        outputs: as the compiled model gives them.
        preprocessing: where pictures are resized and normalised.
        devices: on which it really runs.
        precision: element type of the computation.
        performance_hint: what it is compiled for.
        requests: how many inferences can run at once.
        parameters: Model API's parameters in effect.
        tiling: which tiles of a picture are inferred; None if it is inferred as a whole.
        project: name of the Geti project that it belongs to; may be empty.
        trained: what Geti says about it; None if it is not from Geti.
        steps: the models of a chain in their order; inputs, outputs and what else belongs to one model are the first one's then.
    """

    name: str
    model_type: str
    task: Task | None
    labels: tuple[str, ...]
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]
    preprocessing: str
    devices: tuple[str, ...]
    precision: str
    performance_hint: str
    requests: int
    parameters: Mapping[str, Any]
    tiling: Tiling | None = None
    project: str = ""
    trained: TrainedModel | None = None
    steps: "tuple[ModelDescription, ...]" = ()

    @property
    def feature_width(self) -> int | None:
        """Length of a prediction's feature vector; -1 if it is known only from predictions, None if there is none."""
        for output in self.outputs:
            if output.name == "feature_vector":
                return -1 if -1 in output.shape else math.prod(output.shape)
        return -1 if self.task is None else None


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A model that is read, wrapped and compiled; nothing in it needs an event loop.

    Attributes:
        name: for messages.
        task: what the model does; None if a decoder decides.
        labels: the label table.
        compiled: the model on its device; None if it runs elsewhere.
        requests: how many inferences it should run at once.
        preprocess: from pixels to the inputs in the model's order, and what postprocessing needs to know about them.
        preprocess_is_free: the pixels go in as they are, so ``preprocess`` costs nothing.
        postprocess: from the outputs in the model's order to a prediction.
        description: for people.
        tiled: what runs it on tiles; None if pictures are inferred as a whole.
        last_layer: reads the numbers of a classifier's last layer; None if it has none that was found.
    """

    name: str
    task: Task | None
    labels: tuple[Label, ...]
    compiled: "ov.CompiledModel | None"
    requests: int
    preprocess: Callable[[NDArray[Any]], tuple[list[NDArray[Any]], dict[str, Any]]]
    preprocess_is_free: bool
    postprocess: Callable[[tuple[NDArray[Any], ...], dict[str, Any], Frame], Prediction]
    description: ModelDescription
    tiled: Tiled | None = None
    last_layer: Callable[[], LastLayer] | None = None

    def then(self, change: Callable[[Prediction], Prediction]) -> "LoadedModel":
        """Return the model with something done to every prediction, at the end."""
        postprocess, tiled = self.postprocess, self.tiled
        return replace(
            self,
            postprocess=lambda outputs, meta, frame: change(postprocess(outputs, meta, frame)),
            tiled=None if tiled is None else tiled.then(change),
        )
