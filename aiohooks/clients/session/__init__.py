"""A client of served models: ours, or Supervisely's serving apps."""

from aiohooks.clients.session.platform import SuperviselyPlatform, UploadedImage
from aiohooks.clients.session.session import Session
from aiohooks.clients.session.video import VideoInference, VideoResult

__all__ = ["Session", "SuperviselyPlatform", "UploadedImage", "VideoInference", "VideoResult"]
