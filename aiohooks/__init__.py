"""Vision models in production on OpenVINO, from async Python."""

from aiohooks.annotation import (
    Annotation,
    Ellipse,
    Keypoint,
    Label,
    Point,
    Polygon,
    Rectangle,
    RotatedRectangle,
    ScoredLabel,
)
from aiohooks.clients.geti import GetiClient
from aiohooks.clients.session import Session, SuperviselyPlatform, UploadedImage, VideoInference, VideoResult
from aiohooks.delivery.delivery import Delivery
from aiohooks.delivery.nats import NatsSpool
from aiohooks.delivery.spool import Spool
from aiohooks.deployment import Deployment
from aiohooks.errors import (
    ActionError,
    AiohooksError,
    DeliveryError,
    DeploymentError,
    FrameError,
    InferenceError,
    InferQueueClosed,
    LoadError,
    RemoteError,
    SessionError,
    SpecError,
    TriggerError,
)
from aiohooks.frame import Frame
from aiohooks.hooks.actions import (
    Action,
    FileSystemDataCollection,
    GetiDataCollection,
    HttpAnswer,
    HttpRequestAction,
    LogAction,
    StoredFiles,
    UploadedPicture,
)
from aiohooks.hooks.deliver import deliver
from aiohooks.hooks.event import HookEvent
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.hook_delivery import Spooled
from aiohooks.hooks.outcome import Outcome, OutcomeKind, Outcomes
from aiohooks.hooks.running_hook import HookCounts, RunningHook
from aiohooks.hooks.saved import hooks_from_json, hooks_to_json, load_hooks, save_hooks
from aiohooks.hooks.triggers import (
    AllOf,
    AlwaysTrigger,
    AnyOf,
    ConfidenceTrigger,
    EmptyLabelTrigger,
    LabelTrigger,
    Not,
    ObjectCountTrigger,
    SyncTrigger,
    Trigger,
)
from aiohooks.hooks.verdict import Verdict
from aiohooks.inference.decoder import Decoder
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.inference.result import Result
from aiohooks.inference.stream import Stream
from aiohooks.monitor import Monitor
from aiohooks.monitors.drift import (
    AlertWebhook,
    DriftAlert,
    DriftBaseline,
    DriftEvent,
    DriftMonitor,
    DriftReport,
    DriftRetention,
    DriftRule,
    DriftTrigger,
    EventColumns,
    LogAlert,
)
from aiohooks.monitors.ood import OODExplanation, OODModel, OODTrigger, object_crops
from aiohooks.prediction import Prediction, Task
from aiohooks.rate import Rate
from aiohooks.sources import FrameSource, camera, folder, geti_dataset, images, mjpeg, video

__version__ = "0.1.0"

__all__ = [
    "Action",
    "ActionError",
    "AiohooksError",
    "AlertWebhook",
    "AllOf",
    "AlwaysTrigger",
    "Annotation",
    "AnyOf",
    "ConfidenceTrigger",
    "Decoder",
    "Delivery",
    "DeliveryError",
    "Deployment",
    "DeploymentError",
    "DriftAlert",
    "DriftBaseline",
    "DriftEvent",
    "DriftMonitor",
    "DriftReport",
    "DriftRetention",
    "DriftRule",
    "DriftTrigger",
    "Ellipse",
    "EmptyLabelTrigger",
    "EventColumns",
    "FileSystemDataCollection",
    "Frame",
    "FrameError",
    "FrameSource",
    "GetiClient",
    "GetiDataCollection",
    "HookCounts",
    "HookEvent",
    "HttpAnswer",
    "HttpRequestAction",
    "InferQueueClosed",
    "InferenceError",
    "Keypoint",
    "Label",
    "LabelTrigger",
    "LoadError",
    "LogAction",
    "LogAlert",
    "ModelDescription",
    "Monitor",
    "NatsSpool",
    "Not",
    "OODExplanation",
    "OODModel",
    "OODTrigger",
    "ObjectCountTrigger",
    "Outcome",
    "OutcomeKind",
    "Outcomes",
    "Point",
    "Polygon",
    "PostInferenceHook",
    "Prediction",
    "Rate",
    "Rectangle",
    "RemoteError",
    "Result",
    "RotatedRectangle",
    "RunningHook",
    "ScoredLabel",
    "Session",
    "SessionError",
    "SpecError",
    "Spool",
    "Spooled",
    "StoredFiles",
    "Stream",
    "SuperviselyPlatform",
    "SyncTrigger",
    "Task",
    "Trigger",
    "TriggerError",
    "UploadedImage",
    "UploadedPicture",
    "Verdict",
    "VideoInference",
    "VideoResult",
    "camera",
    "deliver",
    "folder",
    "geti_dataset",
    "hooks_from_json",
    "hooks_to_json",
    "images",
    "load_hooks",
    "mjpeg",
    "object_crops",
    "save_hooks",
    "video",
]
