"""Predictions out of answers."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import anyio.to_thread
import msgspec

from aiohooks.annotation import Label
from aiohooks.errors import SessionError, SpecError
from aiohooks.prediction import Prediction, Task

T = TypeVar("T")

LARGE_BYTES = 64 * 1024
"""Answers with more than this are read in a worker thread; this much takes a millisecond."""


class Reader(NamedTuple):
    """Reads predictions of one model.

    Attributes:
        labels: its label table.
        nodes: names of the nodes of graphs, by their keys.
        task: what it does; None if only its predictions tell.
    """

    labels: tuple[Label, ...]
    nodes: Mapping[str, str]
    task: Task | None

    def prediction(self, data: object) -> Prediction:
        """Return a prediction.

        Raises:
            SpecError: it is none.
        """
        # A task that our words do not tell from others is told from the geometries.
        return Prediction.from_supervisely(data, labels=self.labels, task=self.task, nodes=self.nodes)


async def read(body: bytes, what: str, convert: Callable[[Any], T], kind: Any = Any) -> T:
    """Decode an answer and make something of it, in a worker thread if it is large.

    Args:
        body: of the answer.
        what: the request, for messages.
        convert: makes something of the decoded JSON.
        kind: of the decoded JSON, for ``msgspec``.

    Raises:
        SessionError: the answer is not what it should be.
    """

    def work() -> T:
        try:
            return convert(msgspec.json.decode(body, type=kind))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, SpecError) as error:
            raise SessionError(f"{what}: malformed answer: {str(error) or type(error).__name__}") from None

    return work() if len(body) <= LARGE_BYTES else await anyio.to_thread.run_sync(work)
