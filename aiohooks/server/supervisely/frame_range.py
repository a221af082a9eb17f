"""Which frames of a video a request wants, in the names of both generations of Supervisely's SDK."""

from typing import Any, NamedTuple

from aiohooks.server.refusal import Refusal
from aiohooks.server.supervisely.state import State, first_of, shown, whole_number


class Wanted(NamedTuple):
    """What a request says.

    Attributes:
        start: number of the first frame; None for the first in that direction.
        span: frames that it reaches over, of which every ``stride``-th is wanted; None for all.
        end: number of the first frame that is not wanted any more; None where ``span`` or nothing says it.
        seconds: the same in time.
        stride: step between frames.
        backwards: from ``start`` towards the beginning.
    """

    start: int | None = None
    span: int | None = None
    end: int | None = None
    seconds: float | None = None
    stride: int = 1
    backwards: bool = False


def read_wanted(state: State) -> Wanted:
    """Return which frames a state asks for.

    Raises:
        Refusal: 400, a value is not what it should be.
    """
    return Wanted(
        start=whole_number(state, "startFrameIndex", "start_frame_index", "start_frame"),
        span=whole_number(state, "framesCount", "frames_count", "num_frames", least=1),
        end=whole_number(state, "endFrameIndex", "end_frame_index", "end_frame"),
        seconds=_seconds(state.get("duration")),
        stride=whole_number(state, "stride", "step", least=1) or 1,
        backwards=_is_backwards(first_of(state, "framesDirection", "direction")),
    )


def frames_of(wanted: Wanted, total: int, frames_per_second: float) -> range:
    """Return the numbers of the wanted frames of a video, ascending; those beyond its end are left out.

    Args:
        wanted: what the request says.
        total: frames that the video has.
        frames_per_second: of the video.

    Raises:
        Refusal: 400, there is no such frame.
    """
    start = wanted.start if wanted.start is not None else (total - 1 if wanted.backwards else 0)
    if not 0 <= start < total:
        raise Refusal(400, f"startFrameIndex: the video has {total} frames, the first is 0, got {start}")
    span = wanted.span
    if span is None and wanted.end is not None:
        span = start - wanted.end if wanted.backwards else wanted.end - start
        if span < 1:
            raise Refusal(400, f"endFrameIndex: no frame lies between {start} and {wanted.end} in that direction")
    if span is None and wanted.seconds is not None:
        span = max(1, int(wanted.seconds * frames_per_second))
    room = start + 1 if wanted.backwards else total - start
    span = room if span is None else min(span, room)
    if not wanted.backwards:
        return range(start, start + span, wanted.stride)
    lowest = start - (span - 1) // wanted.stride * wanted.stride
    return range(lowest, start + 1, wanted.stride)


def _is_backwards(value: Any) -> bool:
    if value in (None, "forward", "backward"):
        return bool(value == "backward")
    raise Refusal(400, f"framesDirection: expected forward or backward, got {shown(value)}")


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e9:
        raise Refusal(400, f"duration: expected seconds, got {shown(value)}")
    return float(value)
