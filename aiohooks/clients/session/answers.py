"""What served models answer, as far as it is read."""

from collections.abc import Mapping
from typing import Any

import msgspec


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a served model says about itself.

    Attributes:
        app_name: of what serves it.
        session_id: of the session, or name of the deployment.
        model_name: of the model.
        task_type: what it does, in Supervisely's words.
        device: on which it runs.
        number_of_classes: that it knows.
        max_batch_size: pictures that one request may hold; None if it does not say.
        more: all that it says.
    """

    app_name: str = ""
    session_id: Any = None
    model_name: str = ""
    task_type: str = ""
    device: str = ""
    number_of_classes: int | None = None
    max_batch_size: int | None = None
    more: Mapping[str, Any]

    @classmethod
    def from_answer(cls, data: Mapping[str, Any]) -> "SessionInfo":
        """Return what an answer says."""
        classes, batch = data.get("number_of_classes"), data.get("max_batch_size")
        return cls(
            app_name=str(data.get("app_name") or ""),
            session_id=data.get("session_id"),
            model_name=str(data.get("model_name") or ""),
            task_type=str(data.get("task type") or ""),
            device=str(data.get("device") or ""),
            number_of_classes=classes if isinstance(classes, int) else None,
            max_batch_size=batch if isinstance(batch, int) and batch > 0 else None,
            more=data,
        )


class JobStarted(msgspec.Struct):
    """The answer to what starts a job."""

    inference_request_uuid: str


class Progress(msgspec.Struct):
    """How far a job is."""

    current: int = 0
    total: int | None = None


class JobState(msgspec.Struct):
    """What a job says about itself.

    Attributes:
        pending_results: the results, or how many there are.
    """

    progress: Progress = msgspec.field(default_factory=Progress)
    stage: str = ""
    pending_results: list[msgspec.Raw] | int = 0
    is_inferring: bool = False
    finished: bool | None = None
    exception: Any = None

    @property
    def has_ended(self) -> bool:
        """Whether no more results will come, beside those that are here."""
        return self.finished if self.finished is not None else not self.is_inferring

    @property
    def has_results(self) -> bool:
        """Whether there are results to take."""
        return bool(self.pending_results)

    @property
    def error(self) -> str | None:
        """Why the job failed, in one line; None if it did not."""
        if not self.exception:
            return "the server does not say why" if self.stage == "Error" else None
        if isinstance(self.exception, Mapping):
            parts = [str(self.exception.get(key) or "") for key in ("type", "message")]
            return ": ".join(filter(None, parts)) or "the server does not say why"
        return str(self.exception)
