"""Every error that aiohooks raises on purpose.

AiohooksError
├── InferenceError          a model failed on one input
├── InferQueueClosed        the queue closed before the inference could run
├── DeploymentError         a deployment is used in a way its state does not allow
│   ├── LoadError           a model or deployment cannot be loaded
│   └── SpecError           a configuration (hooks, triggers, actions) is wrong
├── FrameError              a picture or frame cannot be read
├── TriggerError            a trigger failed
├── ActionError             an action failed
├── DeliveryError           collected data cannot be kept or delivered
└── SessionError            talking to a server failed
    └── RemoteError         the server answered with an error status
"""


class AiohooksError(Exception):
    """Base of every error that aiohooks raises on purpose."""


class InferenceError(AiohooksError):
    """A model failed on one input; other inferences are not affected."""


class InferQueueClosed(AiohooksError):  # noqa: N818  # it is a state first, like asyncio.QueueShutDown
    """The inference queue closed before this inference could run."""


class DeploymentError(AiohooksError):
    """A deployment is used in a way that its state does not allow."""


class LoadError(DeploymentError):
    """A model or deployment cannot be loaded."""


class SpecError(DeploymentError):
    """A configuration of hooks, triggers or actions is wrong; the message holds the path to the spot."""


class FrameError(AiohooksError):
    """A picture or frame cannot be read; the message names its source."""


class TriggerError(AiohooksError):
    """A trigger failed or returned something that is not a verdict."""


class ActionError(AiohooksError):
    """An action failed.

    Attributes:
        may_pass: whether the same may succeed later; only then is it tried again where a hook has a ``delivery``.
        status: HTTP status of the answer that says so, if there is one; it decides in place of ``may_pass``.
        retry_after: seconds that the server asked to wait.
    """

    def __init__(
        self, message: str = "", *, may_pass: bool = False, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.may_pass = may_pass
        self.status = status
        self.retry_after = retry_after


class DeliveryError(AiohooksError):
    """Collected data cannot be kept or delivered."""


class SessionError(AiohooksError):
    """Talking to a server failed.

    Attributes:
        may_pass: whether the same may succeed later, because the server could not be reached or did not answer in time.
    """

    def __init__(self, message: str = "", *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class RemoteError(SessionError):
    """A server answered with an error.

    Attributes:
        status: HTTP status of the answer.
        retry_after: seconds that the server asked to wait, if it did.
    """

    def __init__(self, message: str, *, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
