"""One inference without an event loop: load, preprocess, infer, postprocess."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.frame import Frame
from aiohooks.inference.loaded_model import LoadedModel
from aiohooks.inference.model_loading import load_model
from aiohooks.prediction import Prediction

F32 = {"INFERENCE_PRECISION_HINT": "f32"}


def run(loaded: LoadedModel, image: NDArray[np.uint8]) -> Prediction:
    """Infer one picture with a loaded model."""
    inputs, meta = loaded.preprocess(image)
    request = loaded.compiled.create_infer_request()
    request.infer(inputs)
    outputs = tuple(np.array(tensor.data) for tensor in request.output_tensors)
    return loaded.postprocess(outputs, meta, Frame(image))


def predict(source: Any, image: NDArray[np.uint8], **options: Any) -> Prediction:
    """Load a model and infer one picture."""
    return run(load_model(source, config=F32, **options), image)
