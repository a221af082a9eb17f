"""Model API's view of a model: its wrappers configure themselves through this, and infer nothing."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import openvino as ov
from model_api.adapters import OpenvinoAdapter
from model_api.adapters.utils import setup_python_preprocessing_pipeline
from numpy.typing import NDArray

from aiohooks.inference import graph

Preprocessing = Literal["graph", "opencv"]
"""Where pictures are resized and normalised: by OpenVINO inside the graph, or by OpenCV in a worker thread."""


class GraphAdapter(OpenvinoAdapter):  # type: ignore[misc]  # model_api is untyped
    """Shows a wrapper the graph and its metadata, and lets it embed its preprocessing into the graph.

    The model is compiled once, later and elsewhere. Layers are read from the graph once: the base class walks the
    whole graph each time it is asked.

    Attributes:
        info: the metadata.
        model: the graph, with the preprocessing if that was embedded.
        embedded: whether the wrapper hands over pictures as they are, because the graph or ``preprocessor`` does the rest.
        use_python_preprocessing: whether the user or the device (an NPU) wants ``preprocessor`` to run before the inference.
    """

    # The base class's __init__ reads a file, and needs the onnx package for one kind of it.
    def __init__(
        self, model: ov.Model, info: Mapping[str, str], device: str, preprocessing: Preprocessing = "graph"
    ) -> None:
        self.model = model
        self.device = device
        self.embedded = False
        self.use_python_preprocessing = False
        self.model_parameters: dict[str, Any] = {"input_layouts": None}
        self.info = info
        self._preprocessing = preprocessing
        self._image_input = graph.image_input(model)
        self._inputs: dict[str, Any] = super().get_input_layers()
        self._outputs: dict[str, Any] = super().get_output_layers()

    def load_model(self) -> None:
        """Do nothing: the model is compiled when the wrapper is complete."""

    def get_input_layers(self) -> dict[str, Any]:
        """Return what the inputs were before any preprocessing was embedded."""
        return self._inputs

    def get_output_layers(self) -> dict[str, Any]:
        """Return the outputs by name."""
        return self._outputs

    def get_rt_info(self, path: list[str]) -> ov.OVAny:
        """Return an entry of the metadata.

        Raises:
            RuntimeError: there is none, in the words that the wrappers look for.
        """
        if len(path) != 2 or path[0] != "model_info" or path[1] not in self.info:
            raise RuntimeError("Cannot get runtime attribute. Path to runtime attribute is incorrect.")
        return ov.OVAny(self.info[path[1]])

    def embed_preprocessing(self, **settings: Any) -> None:
        """Put resizing and normalisation into the graph, except what the graph cannot do: percentiles of the pixels."""
        if settings.get("intensity_mode") == "percentile":
            return
        if self._preprocessing == "opencv":
            unused = {"input_dtype", "input_frame_shape"}
            self.preprocessor = setup_python_preprocessing_pipeline(
                **{key: value for key, value in settings.items() if key not in unused}
            )
            self.use_python_preprocessing = True
        else:
            super().embed_preprocessing(**settings | {"input_idx": self._image_input})
        if self.use_python_preprocessing:
            self.preprocessor = _batched(self.preprocessor)
        self.embedded = True


def _batched(prepare: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Give the dimension of the batch back, which Model API's preprocessing drops for inputs of NHWC layout."""

    def prepared(image: NDArray[Any]) -> NDArray[Any]:
        pixels = prepare(image)
        return pixels if pixels.ndim == 4 else pixels[None]

    return prepared
