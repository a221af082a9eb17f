"""Frames from pictures, folders, videos, cameras and network streams.

Every source is re-iterable, reads in worker threads and decodes a bounded number of frames ahead.
"""

from aiohooks.sources.cameras import camera
from aiohooks.sources.convert import Picture, as_frame, wrap
from aiohooks.sources.geti import geti_dataset
from aiohooks.sources.motion_jpeg import mjpeg
from aiohooks.sources.normalise import Pictures, frames, is_successive
from aiohooks.sources.pictures import PICTURE_SUFFIXES, folder, images
from aiohooks.sources.source import MAX_PIXELS, FrameIterator, FrameSource
from aiohooks.sources.videos import VIDEO_SUFFIXES, video

__all__ = [
    "MAX_PIXELS",
    "PICTURE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "FrameIterator",
    "FrameSource",
    "Picture",
    "Pictures",
    "as_frame",
    "camera",
    "folder",
    "frames",
    "geti_dataset",
    "images",
    "is_successive",
    "mjpeg",
    "video",
    "wrap",
]
