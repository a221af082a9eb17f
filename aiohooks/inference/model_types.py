"""Which of Model API's wrappers fits a model, and how what it finds becomes a prediction."""

from collections.abc import Callable, Mapping
from typing import Any

from model_api.models import (
    AnomalyDetection,
    ClassificationModel,
    DetectionModel,
    InstanceSegmentationModel,
    KeypointDetectionModel,
    SegmentationModel,
    YOLOSeg,
)
from model_api.models import Model as AnyModel

from aiohooks.errors import LoadError
from aiohooks.inference import anomaly, conversion
from aiohooks.inference.conversion import Decode
from aiohooks.inference.labels import LabelTable
from aiohooks.prediction import Task

_ANOMALIB_OUTPUTS = frozenset({"pred_score", "pred_label", "anomaly_map", "pred_mask"})
_XAI_OUTPUTS = frozenset({"feature_vector", "saliency_map"})
_ABSTRACT = (DetectionModel, InstanceSegmentationModel)

# The subclass comes before its base: YOLO-seg is a DetectionModel in Model API.
_TASKS: tuple[tuple[type, Task, Callable[[Any, LabelTable], Decode]], ...] = (
    (ClassificationModel, Task.CLASSIFICATION, conversion.classification),
    (YOLOSeg, Task.INSTANCE_SEGMENTATION, conversion.instance_segmentation),
    (DetectionModel, Task.DETECTION, conversion.detection),
    (InstanceSegmentationModel, Task.INSTANCE_SEGMENTATION, conversion.instance_segmentation),
    (SegmentationModel, Task.SEGMENTATION, conversion.segmentation),
    (AnomalyDetection, Task.ANOMALY, anomaly.picture),
    (KeypointDetectionModel, Task.KEYPOINT_DETECTION, conversion.keypoint_detection),
)

# Geti's task types, and Model API's `task` parameter, where they ask for another decoding than the wrapper's own.
_SPECIAL: dict[str, tuple[type, Task, Callable[[Any, LabelTable], Decode]]] = {
    "rotated_detection": (InstanceSegmentationModel, Task.ROTATED_DETECTION, conversion.rotated_detection),
    "anomaly_segmentation": (AnomalyDetection, Task.ANOMALY, anomaly.regions),
    "anomaly_detection": (AnomalyDetection, Task.ANOMALY, anomaly.boxes),
}


def known_types() -> list[str]:
    """Return the names of the model types that can be decoded."""
    return sorted((cls.__model__ for cls in _supported()), key=str.lower)


def find_wrapper(model_type: str) -> type[Any]:
    """Return the wrapper of this model type; upper and lower case are the same.

    Raises:
        LoadError: there is none; the message lists the known types.
    """
    for cls in _supported():
        if cls.__model__.lower() == model_type.lower():
            return cls
    raise LoadError(
        f"unknown model_type {model_type!r}; known are {', '.join(known_types())}, or pass decoder= for any other model"
    )


def detect_type(outputs: Mapping[str, Any], *, has_labels: bool) -> str:
    """Return the model type where the outputs leave no doubt.

    Raises:
        LoadError: they do; the message lists them and says what to pass.
    """
    if outputs.keys() >= _ANOMALIB_OUTPUTS:
        return str(AnomalyDetection.__model__)
    scores = [layer for name, layer in outputs.items() if name not in _XAI_OUTPUTS]
    if has_labels and len(scores) == 1 and _is_one_score_per_class(scores[0].shape):
        return str(ClassificationModel.__model__)
    seen = ", ".join(f"{name} {list(layer.shape)} {layer.precision}" for name, layer in outputs.items())
    raise LoadError(
        f"the file does not say what kind of model this is; its outputs are {seen}. "
        f"Pass model_type= (--model-type on the command line; one of {', '.join(known_types())}), "
        "or decoder= (a function of outputs and frame)"
    )


def class_count(cls: type[Any], outputs: Mapping[str, Any], *, hierarchical: bool) -> int | None:
    """Return how many labels the outputs have room for, where their shapes tell."""
    shapes = [tuple(layer.shape) for name, layer in outputs.items() if name not in _XAI_OUTPUTS]
    if not shapes:
        return None
    if issubclass(cls, AnomalyDetection):
        return 2
    if issubclass(cls, ClassificationModel) and not hierarchical and _is_one_score_per_class(shapes[0]):
        return int(shapes[0][1])
    if issubclass(cls, SegmentationModel) and len(shapes[0]) == 4 and shapes[0][1] > 1:
        return int(shapes[0][1]) - 1  # without the background
    if issubclass(cls, KeypointDetectionModel) and len(shapes[0]) == 3:
        return int(shapes[0][1])
    return None


def needs_fixed_size(cls: type[Any]) -> bool:
    """Tell whether the wrapper scales coordinates from the size of the model's input."""
    return issubclass(cls, DetectionModel | InstanceSegmentationModel | KeypointDetectionModel)


def counts_from_one(cls: type[Any]) -> bool:
    """Tell whether the wrapper adds one to the class numbers of the model."""
    return issubclass(cls, InstanceSegmentationModel | YOLOSeg)


def wants_background(cls: type[Any]) -> bool:
    """Tell whether the wrapper's list of labels begins with one for nothing."""
    return issubclass(cls, InstanceSegmentationModel)


def decode_for(wrapper: Any, table: LabelTable, task_type: str) -> tuple[Task, Decode]:
    """Return the task and what decodes the outputs, by the wrapper and Geti's task type."""
    kind = task_type.lower()
    if isinstance(wrapper, AnomalyDetection) and not kind:
        kind = f"anomaly_{wrapper.params.task}"
    if kind in _SPECIAL and isinstance(wrapper, _SPECIAL[kind][0]):
        _, task, make = _SPECIAL[kind]
    else:
        task, make = next((task, make) for cls, task, make in _TASKS if isinstance(wrapper, cls))
    return task, make(wrapper, table)


def _supported() -> list[type[Any]]:
    return [
        cls
        for cls in AnyModel.get_subclasses()
        if cls not in _ABSTRACT and issubclass(cls, tuple(kind for kind, _, _ in _TASKS))
    ]


def _is_one_score_per_class(shape: Any) -> bool:
    return len(shape) in (2, 4) and shape[0] == 1 and shape[1] > 1 and all(size == 1 for size in shape[2:])
