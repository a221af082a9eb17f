"""Inference and hooks under one roof."""

from aiohooks.deployment.deployment import Deployment
from aiohooks.deployment.frame_model import FrameModel, TensorModel

__all__ = ["Deployment", "FrameModel", "TensorModel"]
