"""What Model API's own tilers make of a picture."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from model_api.adapters import OpenvinoAdapter, create_core
from model_api.models import Model
from model_api.tilers import DetectionTiler, InstanceSegmentationTiler, SemanticSegmentationTiler
from numpy.typing import NDArray

TILERS = {
    "ssd": DetectionTiler,
    "MaskRCNN": InstanceSegmentationTiler,
    "Segmentation": SemanticSegmentationTiler,
}


def model_api_tiler(model: ov.Model, path: Path, **configuration: Any) -> Callable[[NDArray[np.uint8]], Any]:
    """Save the model and return what infers a picture in tiles; `configuration` is for the wrapper."""
    ov.save_model(model, path, compress_to_fp16=False)
    adapter = OpenvinoAdapter(create_core(), str(path), device="CPU", plugin_config={"INFERENCE_PRECISION_HINT": "f32"})
    wrapper = Model.create_model(adapter, configuration=configuration)
    model_type = model.get_rt_info(["model_info", "model_type"]).astype(str)
    # Its synchronous mode fails on masks without saliency maps.
    mode = "async" if model_type == "MaskRCNN" else "sync"
    tiler: Callable[[NDArray[np.uint8]], Any] = TILERS[model_type](wrapper, execution_mode=mode)
    return tiler
