"""How an inference that failed says what failed, and on which frame."""

from aiohooks.errors import AiohooksError, InferenceError
from aiohooks.frame import Frame


def failure(model: str, frame: Frame, what: str, error: Exception) -> InferenceError:
    """Return the error to raise.

    Args:
        model: name of the model.
        frame: what it was to infer.
        what: what could not be done, or where in the frame; may be empty.
        error: the reason.
    """
    detail = str(error) if isinstance(error, AiohooksError) else f"{type(error).__name__}: {error}"
    place = f"model {model!r}, frame {frame.index}" + (f" ({frame.name!r})" if frame.name else "")
    return InferenceError(": ".join(part for part in (place, what, detail) if part))
