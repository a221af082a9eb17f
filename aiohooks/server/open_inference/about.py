"""What the protocol tells about models."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from aiohooks.inference.element_types import ELEMENT_TYPES
from aiohooks.inference.loaded_model import TensorDescription
from aiohooks.monitors.ood.model import OODModel
from aiohooks.open_inference import datatype_of
from aiohooks.prediction import Task
from aiohooks.prediction.tensors import ALWAYS, OOD_SCORE
from aiohooks.server.serving import Served

VERSION = "1"
"""The one version that each model has."""

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
PLATFORM = "aiohooks"

IMAGE = "image"
"""Input: encoded pictures."""

PIXELS = "pixels"
"""Input: RGB pixels, of one picture or of several of the same size."""

_TRITON_TYPES = {"BYTES": "TYPE_STRING"}
_PIXEL_OUTPUTS = {
    Task.CLASSIFICATION: ("class_scores",),
    Task.INSTANCE_SEGMENTATION: ("masks", "polygons", "polygon_lengths"),
    Task.ROTATED_DETECTION: ("rotated_boxes", "masks"),
    Task.SEGMENTATION: ("label_map", "polygons", "polygon_lengths"),
    Task.ANOMALY: ("heat_map",),
    Task.KEYPOINT_DETECTION: ("keypoints",),
}
_EXPLANATIONS = {"feature_vector": "feature_vector", "saliency_maps": "saliency_map"}
"""The model's own names of what explains its predictions."""

_SHAPES: Mapping[str, tuple[str, list[int]]] = {
    "boxes": ("FP32", [-1, 4]),
    "scores": ("FP32", [-1]),
    "label_indices": ("INT32", [-1]),
    "label_names": ("BYTES", [-1]),
    "object_indices": ("INT32", [-1]),
    "picture_indices": ("INT32", [-1]),
    "size": ("INT32", [-1, 2]),
    "task": ("BYTES", [-1]),
    "prediction": ("BYTES", [-1]),
    "masks": ("UINT8", [-1, -1, -1]),
    "rotated_boxes": ("FP32", [-1, 5]),
    "keypoints": ("FP32", [-1, 3]),
    "polygons": ("FP32", [-1, 2]),
    "polygon_lengths": ("INT32", [-1]),
    "class_scores": ("FP32", [-1, -1]),
    "feature_vector": ("FP32", [-1, -1]),
    "label_map": ("UINT8", [-1, -1, -1]),
    "heat_map": ("FP32", [-1, -1, -1]),
    "saliency_maps": ("UINT8", [-1, -1, -1, -1]),
    "ood_score": ("FP64", [-1]),
}


def tensors_of_pictures(served: Served) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the inputs and outputs of a deployment, pictures in and predictions out; either input is enough."""
    about = served.deployment.describe()
    own = {tensor.name for tensor in about.outputs}
    names = [*ALWAYS, *_PIXEL_OUTPUTS.get(about.task or Task.DETECTION, ())]
    names += [name for name, source in _EXPLANATIONS.items() if source in own]
    if any(isinstance(attached.monitor, OODModel) for attached in served.deployment.monitors):
        names.append(OOD_SCORE)
    inputs = [_tensor(IMAGE, "BYTES", [-1]), _tensor(PIXELS, "UINT8", [-1, -1, -1, 3])]
    return inputs, [_tensor(name, *_SHAPES[name]) for name in names]


def tensors_of_model(served: Served) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the inputs and outputs of a deployment's model."""
    about = served.deployment.describe()
    return [_described(one) for one in about.inputs], [_described(one) for one in about.outputs]


def metadata(
    name: str, served: Served, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what ``/v2/models/{name}`` tells."""
    deployment = served.deployment
    described = deployment.describe()
    parameters = {
        "task": described.task,
        "labels": msgspec.to_builtins(deployment.labels),
        "explains": deployment.model.explains,
        "feature_width": described.feature_width,
        "slots": deployment.model.slots,
    }
    return {
        "name": name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": list(inputs),
        "outputs": list(outputs),
        "parameters": parameters,
    }


def configuration(
    name: str, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[Mapping[str, Any]], *, optional: bool
) -> dict[str, Any]:
    """Return what Triton's ``/config`` tells."""

    def of(tensor: Mapping[str, Any]) -> dict[str, Any]:
        kind = tensor["datatype"]
        return {"name": tensor["name"], "data_type": _TRITON_TYPES.get(kind, f"TYPE_{kind}"), "dims": tensor["shape"]}

    return {
        "name": name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "max_batch_size": 0,
        "input": [of(tensor) | {"optional": optional} for tensor in inputs],
        "output": [of(tensor) for tensor in outputs],
    }


def statistics(name: str, served: Served) -> dict[str, Any]:
    """Return what Triton's ``/stats`` tells; times are in nanoseconds."""
    inferred, queued = served.inference_seconds, served.queue_seconds
    count = sum(inferred.counts)

    def duration(count: int, seconds: float) -> dict[str, int]:
        return {"count": count, "ns": round(seconds * 1e9)}

    return {
        "name": name,
        "version": VERSION,
        "inference_count": count,
        "execution_count": count,
        "inference_stats": {
            "success": duration(count - served.failed, inferred.total),
            "fail": duration(served.failed, 0.0),
            "queue": duration(sum(queued.counts), queued.total),
            "compute_input": duration(0, 0.0),
            "compute_infer": duration(count, inferred.total),
            "compute_output": duration(0, 0.0),
        },
        "batch_stats": [],
    }


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _described(tensor: TensorDescription) -> dict[str, Any]:
    return _tensor(tensor.name, datatype_of(ELEMENT_TYPES[tensor.dtype]), list(tensor.shape))
