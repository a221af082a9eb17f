"""Predictions as answers: what the client wants of them, in Supervisely's form, encoded."""

from collections.abc import Mapping
from typing import Any

from aiohooks.prediction import Prediction
from aiohooks.server.answers import encode
from aiohooks.server.long_work import in_thread_if, take_long
from aiohooks.server.supervisely.settings import Settings


async def encoded(prediction: Prediction, settings: Settings, about: Mapping[str, Any]) -> bytes:
    """Return a prediction in Supervisely's form as JSON; what takes long to write is written in a worker thread.

    Args:
        prediction: what the model found.
        settings: what is wanted of it.
        about: what else the answer says, such as the number of the frame.
    """

    def write() -> bytes:
        return encode({**settings.apply(prediction).to_supervisely(), **about})

    return await in_thread_if(take_long([prediction]), write)
