"""Events in the forms in which they come: arrays, columns, rows or a data frame, read into an `EventBatch`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias, cast, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiohooks.errors import SpecError
from aiohooks.monitors.drift import integrity
from aiohooks.monitors.drift.event import NUMBERS, DriftEvent, EventBatch
from aiohooks.monitors.drift.problem import Problem, Problems, code, counted

MOST_EVENTS = 8192
"""Events that are read at once; more are read in parts, so that memory stays bounded."""

MOST_IMAGE_BYTES = 64 * 1024
"""Size of a picture that comes with an event; a larger one is out of range."""

MOST_CHARACTERS = 256
"""Length of a segment, a model version, an id or a target; a longer one is out of range."""


@runtime_checkable
class Table(Protocol):
    """A data frame, as pandas and polars have it."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""

    def __getitem__(self, name: str, /) -> Any:
        """Return a column; it has ``to_numpy()`` or is a sequence."""

    def __len__(self) -> int: ...


Events: TypeAlias = Table | Mapping[str, Any] | Sequence[Mapping[str, Any]] | Sequence[DriftEvent] | NDArray[Any]
"""What can be published: see `read_events`."""


class EventColumns(msgspec.Struct, frozen=True, kw_only=True):
    """What the columns are called. One that is not there is not known, but for the features.

    Attributes:
        features: one column of vectors, or a column for each dimension.
        probabilities: one column of vectors, or a column for each class in the order of the model's labels.
        timestamp: seconds or milliseconds since the epoch, aware datetimes, texts with a zone, or datetime64 in UTC.
        id: of the event (the same picture may be in many events).
        segment: what events are told apart by.
        model_version: of the model that inferred.
        target: the true label.
        image: address of the picture, or its bytes.
        brightness: mean of the picture in 0–1.
        sharpness: of the picture.
        width: of the picture in pixels.
        height: of the picture in pixels.
        ood_score: in 0–1.
    """

    features: str | tuple[str, ...] = "features"
    probabilities: str | tuple[str, ...] = "probabilities"
    timestamp: str = "timestamp"
    id: str = "id"
    segment: str = "segment"
    model_version: str = "model_version"
    target: str = "target"
    image: str = "image"
    brightness: str = "brightness"
    sharpness: str = "sharpness"
    width: str = "width"
    height: str = "height"
    ood_score: str = "ood_score"


class Expected(NamedTuple):
    """What the events are to fit.

    Attributes:
        width: dimensions of the features.
        classes: of the probabilities; None: there are none.
        now: time of events that have none, in seconds since the epoch.
    """

    width: int
    classes: int | None
    now: float


Part: TypeAlias = Callable[[slice], integrity.Column]
"""Returns the values of a column from one position to another."""


class Source(NamedTuple):
    """Events that have not been read yet.

    Attributes:
        columns: by the names of the fields.
        length: how many events there are.
        is_timed: an event without a time is of now; else its time is missing.
    """

    columns: Mapping[str, Part]
    length: int
    is_timed: bool = False


class ReadEvents(NamedTuple):
    """What was read.

    Attributes:
        batch: the good events.
        refused: how many were not good.
        problems: what was wrong, also with values of good events.
    """

    batch: EventBatch
    refused: int
    problems: Problems


def source_of(events: Events, timestamps: ArrayLike | Sequence[Any] | None, columns: EventColumns) -> Source:
    """Find the columns of events in any form; nothing is copied.

    Args:
        events: a data frame; a mapping of names to columns; a sequence of mappings or of `DriftEvent`; or an array (N, D) of features.
        timestamps: of the events, in place of a column.
        columns: what the columns are called.

    Raises:
        SpecError: it is none of these, there are no features, or columns differ in length.
    """
    is_timed = False
    found: dict[str, Part]
    if isinstance(events, np.ndarray):
        if events.ndim != 2:
            raise SpecError(f"events: expected an array (N, D) of features, got one of shape {events.shape}")
        found = {"features": partial(_part, events)}
        count = len(events)
    elif isinstance(events, Mapping):
        found = _columns(columns, events.keys(), partial(_column, events))
        count = _length(found)
    elif isinstance(events, Sequence):
        kinds = {type(event) for event in events}
        if kinds <= {DriftEvent}:
            is_timed = True
            names = [field.name for field in msgspec.structs.fields(DriftEvent)]
            found = {name: partial(_attributes, cast("Sequence[DriftEvent]", events), name) for name in names}
        elif all(issubclass(kind, Mapping) for kind in kinds):
            rows = cast("Sequence[Mapping[str, Any]]", events)
            found = _columns(columns, set().union(*rows), lambda name: partial(_values, rows, name))
        else:
            raise SpecError(
                f"events: expected DriftEvent or mappings, got {', '.join(sorted(k.__name__ for k in kinds))}"
            )
        count = len(events)
    elif isinstance(events, Table):
        found = _columns(columns, list(events.columns), partial(_column, events))
        count = len(events)
    else:
        raise SpecError(
            f"events: expected a data frame, a mapping of columns, a sequence of mappings or of DriftEvent, or an array of "
            f"features, got {type(events).__name__}"
        )
    if "features" not in found:
        if len(events):
            raise SpecError(
                f"events: there is no column {columns.features!r}; say what it is called by columns=EventColumns(features=…)"
            )
        found["features"] = partial(_part, [])
    if timestamps is not None:
        given: Any = _plain(timestamps) if hasattr(timestamps, "__len__") else [timestamps] * count
        if len(given) != count:
            raise SpecError(f"timestamps: there are {len(given)} for {count} events")
        found["timestamp"] = partial(_part, given)
        is_timed = False
    return Source(found, count, is_timed)


def read_events(source: Source, rows: slice, expected: Expected) -> ReadEvents:
    """Read some of the events, check them, and keep the good ones; nothing that is wrong with one raises. Blocks.

    Args:
        source: of the events.
        rows: which of them.
        expected: what they are to fit.
    """
    get = {name: column(rows) for name, column in source.columns.items()}
    count = len(range(*rows.indices(source.length)))
    problems = Problems()

    features, bad = integrity.vectors(get["features"], expected.width)
    problems += counted("features", bad)
    refused = bad != 0
    if "timestamp" in get:
        times, bad = integrity.times(get["timestamp"], expected.now)
        if source.is_timed:
            unset = bad == code(Problem.MISSING)
            times, bad = np.where(unset, expected.now, times), np.where(unset, 0, bad).astype(np.uint8)
        problems += counted("timestamp", bad)
        refused |= bad != 0
    else:
        times = np.full(count, expected.now)

    probabilities = None
    if expected.classes is not None and "probabilities" in get:
        probabilities, bad = integrity.probabilities(get["probabilities"], expected.classes)
        problems += _but_missing("probabilities", bad)

    numbers = {}
    for name in NUMBERS:
        if name in get:
            values, bad = integrity.numbers(get[name], 0.0, 1.0 if name in ("brightness", "ood_score") else 1e9)
            problems += _but_missing(name, bad)
            if not np.isnan(values).all():
                numbers[name] = values

    texts: dict[str, list[str | None]] = {}
    for name in ("segment", "model_version", "id", "target"):
        if name in get:
            texts[name], bad = integrity.texts(get[name])
            for i, text in enumerate(texts[name]):
                if text is not None and len(text) > MOST_CHARACTERS:
                    texts[name][i], bad[i] = None, code(Problem.OUT_OF_RANGE)
            problems += _but_missing(name, bad)
    images, bad = _images(get["image"]) if "image" in get else (None, np.zeros(count, np.uint8))
    problems += _but_missing("image", bad)

    batch = EventBatch(
        times, features, probabilities, numbers,
        segments=[segment or "" for segment in texts["segment"]] if "segment" in texts else None,
        model_versions=texts.get("model_version"), ids=texts.get("id"), targets=texts.get("target"), images=images,
    )  # fmt: skip
    number = int(refused.sum())
    return ReadEvents(batch.take(np.flatnonzero(~refused)) if number else batch, number, problems)


def _columns(columns: EventColumns, names: Iterable[str], column: Callable[[str], Part]) -> dict[str, Part]:
    """Return the columns that are there by the names of the fields."""
    there = set(names)
    found: dict[str, Part] = {}
    for field in msgspec.structs.fields(EventColumns):
        name = getattr(columns, field.name)
        if isinstance(name, str):
            if name in there:
                found[field.name] = column(name)
        elif missing := [each for each in name if each not in there]:
            raise SpecError(f"events: there is no column {', '.join(map(repr, missing))} for {field.name}")
        else:
            found[field.name] = partial(_side_by_side, [column(each) for each in name])
    return found


def _column(table: Mapping[str, Any] | Table, name: str) -> Part:
    column = table[name]
    if isinstance(column, str | bytes) or not hasattr(column, "__len__") or getattr(column, "ndim", 1) == 0:
        raise SpecError(f"events: column {name!r} is one value, {column!r:.40}; there has to be one for each event")
    return partial(_part, _plain(column))


def _plain(column: Any) -> Any:
    """Return a column as what numpy or the language has; of times with a zone, numpy would forget the zone."""
    if isinstance(column, np.ndarray | list | tuple):
        return column
    dtype = getattr(column, "dtype", None)
    has_zone = getattr(dtype, "tz", None) is not None or getattr(dtype, "time_zone", None) is not None
    return column.to_numpy() if hasattr(column, "to_numpy") and not has_zone else list(column)


def _part(column: Any, rows: slice) -> Any:
    return column[rows]


def _values(events: Sequence[Mapping[str, Any]], key: str, rows: slice) -> list[Any]:
    return [event.get(key) for event in events[rows]]


def _attributes(events: Sequence[DriftEvent], name: str, rows: slice) -> list[Any]:
    return [getattr(event, name) for event in events[rows]]


def _side_by_side(columns: list[Part], rows: slice) -> Any:
    """Return columns of numbers as one column of vectors."""
    checked = [integrity.numbers(column(rows)) for column in columns]
    values: list[Any] = list(np.stack([column for column, _ in checked], axis=1))
    codes = np.stack([codes for _, codes in checked], axis=1)
    wrong = np.any(codes == code(Problem.WRONG_TYPE), axis=1)
    absent = np.all(codes == code(Problem.MISSING), axis=1)
    if not (wrong.any() or absent.any()):
        return np.asarray(values)
    return ["" if wrong[i] else None if absent[i] else value for i, value in enumerate(values)]


def _length(found: Mapping[str, Any]) -> int:
    lengths = {name: len(column(slice(None))) for name, column in found.items()}
    if len(set(lengths.values())) > 1:
        raise SpecError(f"events: columns differ in length: {', '.join(f'{k} {v}' for k, v in lengths.items())}")
    return next(iter(lengths.values()), 0)


def _images(column: integrity.Column) -> tuple[list[str | bytes | None], NDArray[np.uint8]]:
    images: list[str | bytes | None] = []
    codes = np.zeros(len(column), np.uint8)
    for i, value in enumerate(column):
        if isinstance(value, bytes) or (isinstance(value, str) and integrity.is_writable(value)):
            fits = len(value) <= (MOST_IMAGE_BYTES if isinstance(value, bytes) else 2048)
            # Arrays of texts hold those of numpy, which cannot be written.
            plain = str(value) if isinstance(value, str) else bytes(value)
            images.append(plain if fits and plain else None)
            codes[i] = 0 if fits else code(Problem.OUT_OF_RANGE)
        else:
            images.append(None)
            codes[i] = code(Problem.MISSING if integrity.is_missing(value) else Problem.WRONG_TYPE)
    return images, codes


def _but_missing(field: str, codes: NDArray[np.uint8]) -> Problems:
    """Count the problems of a column that may have gaps."""
    return counted(field, np.where(codes == code(Problem.MISSING), 0, codes).astype(np.uint8))
