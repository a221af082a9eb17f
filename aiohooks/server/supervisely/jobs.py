"""A job: pictures or a video that is inferred while its client asks for the results. Nothing here waits."""

from collections import deque
from collections.abc import Sequence
from enum import Enum
from itertools import islice
from typing import Any, NamedTuple

import msgspec


class Stage(Enum):
    """Where a job is, in the words that Supervisely's clients know."""

    PREPARING = "Preparing model for inference..."
    RUNNING = "Running inference..."
    FINISHED = "Finished"
    CANCELLED = "Cancelled"
    FAILED = "Error"


class Failure(NamedTuple):
    """Why a job failed: the kind of error, and a sentence for the client."""

    kind: str
    message: str


class Taken(NamedTuple):
    """Results that are handed out.

    Attributes:
        results: in their order, encoded.
        following: number of the result that comes after them, from 0.
    """

    results: Sequence[msgspec.Raw]
    following: int


class Job:
    """The state of a job.

    Args:
        identity: by which its client asks for it.
        most_results: that may wait for the client.
        most_bytes: that they may have.
    """

    def __init__(self, identity: str, *, most_results: int, most_bytes: int) -> None:
        self.identity = identity
        self.stage = Stage.PREPARING
        self.total: int | None = None
        self.done = 0
        self.failure: Failure | None = None
        self.stop_asked = False
        self.received_bytes = 0
        self.upload_bytes: int | None = None
        self._most_results = most_results
        self._most_bytes = most_bytes
        self._waiting: deque[bytes] = deque()
        self.waiting_bytes = 0
        self._dropped = 0  # results before those that wait: the client has them

    @property
    def has_ended(self) -> bool:
        """Whether nothing will be added any more."""
        return self.stage in (Stage.FINISHED, Stage.CANCELLED, Stage.FAILED)

    @property
    def has_room(self) -> bool:
        """Whether a result may be added; otherwise its work waits until the client has taken some."""
        return len(self._waiting) < self._most_results and self.waiting_bytes < self._most_bytes

    def begin(self, total: int) -> None:
        """Start to infer so many items."""
        if self.stage is Stage.PREPARING:
            self.stage = Stage.RUNNING
        self.total = total

    def add(self, result: bytes) -> None:
        """Add the encoded result of the next item."""
        self._waiting.append(result)
        self.waiting_bytes += len(result)
        self.done += 1

    def fail(self, failure: Failure) -> None:
        """End with an error."""
        if not self.has_ended:
            self.failure = failure
            self.stage = Stage.FAILED

    def stop(self) -> None:
        """Ask the work to stop."""
        self.stop_asked = True

    def end(self, *, is_whole: bool = True) -> None:
        """End: nothing more will be added.

        Args:
            is_whole: the work came to its end; if not, the job is cancelled, whoever did it.
        """
        if not self.has_ended:
            self.stage = Stage.FINISHED if is_whole and not self.stop_asked else Stage.CANCELLED
            if self.stage is Stage.FINISHED:
                self.total = self.done

    def waits_after(self, first: int | None) -> bool:
        """Tell whether there are results from this number on, or any."""
        return self._dropped + len(self._waiting) > (first if first is not None else self._dropped)

    def take(self, first: int | None, *, most: int, most_bytes: int) -> Taken:
        """Hand out results.

        Args:
            first: number of the first that the client does not have. Those before are dropped, those handed out are kept, in case
                that the answer is lost. None for clients that do not say: what is handed out is dropped.
            most: results at once.
            most_bytes: that they may have, but for the first.
        """
        if first is not None:
            self._drop(min(first, self.done) - self._dropped)
        found: list[msgspec.Raw] = []
        for result in islice(self._waiting, most):
            most_bytes -= len(result)
            if found and most_bytes < 0:
                break
            found.append(msgspec.Raw(result))
        following = self._dropped + len(found)
        if first is None:
            self._drop(len(found))
        return Taken(found, following)

    def progress(self) -> dict[str, Any]:
        """Return the progress in Supervisely's form; a total that is not known yet is 1."""
        current, total, is_size = self.done, self.total if self.total is not None else 1, False
        if self.stage is Stage.PREPARING and self.upload_bytes is not None:
            current, total, is_size = self.received_bytes, self.upload_bytes, True
        text = self.stage.value
        return {"message": text, "status": text, "current": current, "total": total, "is_size": is_size}

    def status(self) -> dict[str, Any]:
        """Return everything about it but its results, in Supervisely's form."""
        progress = self.progress()
        # Clients take is_inferring for whether results may still come.
        return {
            "uuid": self.identity,
            "stage": self.stage.value,
            "progress": progress,
            "pending_results": len(self._waiting),
            "is_inferring": not self.has_ended,
            "finished": self.has_ended,
            "stopped": self.stop_asked,
            "cancel_inference": self.stop_asked,
            "paused": not self.has_room,
            "exception": self._exception(),
            "result": False,
            "final_result": False,
            "has_result": False,
            "preparing_progress": progress,
        }

    def _exception(self) -> dict[str, str] | None:
        if self.failure is None:
            return None
        return {"type": self.failure.kind, "message": self.failure.message, "traceback": ""}

    def _drop(self, count: int) -> None:
        for _ in range(min(max(count, 0), len(self._waiting))):
            self.waiting_bytes -= len(self._waiting.popleft())
            self._dropped += 1
