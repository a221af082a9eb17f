"""Actions are what hooks do with the frames that their triggers pick."""

from aiohooks.hooks.actions.action import Action
from aiohooks.hooks.actions.file_system import FileSystemDataCollection, StoredFiles
from aiohooks.hooks.actions.geti import GetiDataCollection, UploadedPicture
from aiohooks.hooks.actions.http_request import HttpAnswer, HttpRequestAction
from aiohooks.hooks.actions.log import LogAction

__all__ = [
    "Action",
    "FileSystemDataCollection",
    "GetiDataCollection",
    "HttpAnswer",
    "HttpRequestAction",
    "LogAction",
    "StoredFiles",
    "UploadedPicture",
]
