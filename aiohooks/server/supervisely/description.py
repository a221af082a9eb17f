"""What a deployment says of itself in Supervisely's words."""

import platform
from typing import Any

from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.prediction.supervisely.task_types import TASK_TYPES


def session_info(name: str, description: ModelDescription, *, max_batch_size: int) -> dict[str, Any]:
    """Return what ``get_session_info`` answers.

    Args:
        name: of the deployment.
        description: of its model.
        max_batch_size: pictures that one request may hold.
    """
    return {
        "app_name": "aiohooks",
        "session_id": name,
        "number_of_classes": len(description.labels),
        "sliding_window_support": "none",
        "videos_support": True,
        "async_video_inference_support": True,
        "async_image_inference_support": True,
        "tracking_on_videos_support": False,
        "tracking_algorithms": [],
        "batch_inference_support": True,
        "max_batch_size": max_batch_size,
        "task type": _task_type(description),
        "model_name": description.name,
        "architecture": description.model_type,
        "device": ", ".join(description.devices),
        "runtime": "OpenVINO",
        "model_precision": description.precision,
    }


def deploy_info(description: ModelDescription) -> dict[str, Any]:
    """Return what ``get_deploy_info`` answers: the fields of the SDK's ``DeployInfo``, no more."""
    return {
        "checkpoint_name": description.name,
        "model_name": description.name,
        "architecture": description.model_type,
        "checkpoint_url": None,
        "custom_checkpoint_path": None,
        "model_source": "Custom models",
        "task_type": _task_type(description),
        "device": ", ".join(description.devices),
        "runtime": "OpenVINO",
        "model_precision": description.precision,
        "hardware": platform.machine(),
        "deploy_params": {},
    }


def _task_type(description: ModelDescription) -> str:
    return TASK_TYPES[description.task] if description.task is not None else "custom"
