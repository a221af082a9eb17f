"""Supervisely's names of tasks, and ours where it has none."""

from aiohooks.prediction.task import Task

TASK_TYPES = {
    Task.CLASSIFICATION: "image classification",
    Task.DETECTION: "object detection",
    Task.ROTATED_DETECTION: "oriented object detection",
    Task.INSTANCE_SEGMENTATION: "instance segmentation",
    Task.SEGMENTATION: "semantic segmentation",
    Task.ANOMALY: "anomaly detection",
    Task.KEYPOINT_DETECTION: "pose estimation",
}

_TASKS = {name: task for task, name in TASK_TYPES.items()}


def task_of(name: str | None) -> Task | None:
    """Return the task that a served model says it does; None if it is none that is known."""
    return _TASKS.get((name or "").strip().lower())
