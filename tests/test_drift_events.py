"""Events in any form become columns; what is wrong with them is counted and raises nothing."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.errors import SpecError
from aiohooks.monitors.drift import integrity
from aiohooks.monitors.drift.event import DriftEvent
from aiohooks.monitors.drift.image_statistics import measure, sample
from aiohooks.monitors.drift.ingest import EventColumns, Events, Expected, ReadEvents, read_events, source_of
from aiohooks.monitors.drift.problem import CODES, Problem

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
AT = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)
PATTERN = np.array([[0.0, 0.25], [0.5, 0.75], [1.0, 0.0]], np.float32)


def read(
    events: Events, timestamps: Any = None, *, width: int = 2, classes: int | None = None, **columns: Any
) -> ReadEvents:
    source = source_of(events, timestamps, EventColumns(**columns))
    return read_events(source, slice(0, source.length), Expected(width, classes, NOW))


def problems_of(codes: Any) -> list[Problem | None]:
    return [CODES[code] for code in codes.tolist()]


class Series:
    def __init__(self, values: list[Any], dtype: Any = None) -> None:
        self.values = values
        self.dtype = dtype

    def to_numpy(self) -> np.ndarray[Any, Any]:
        assert getattr(self.dtype, "tz", None) is None, "numpy would forget the zone"
        return np.array(self.values) if self.dtype is None else np.array(self.values, self.dtype)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)


class DataFrame:
    """As much of pandas and polars as is looked at."""

    def __init__(self, **columns: Series) -> None:
        self._columns = columns

    @property
    def columns(self) -> list[str]:
        return list(self._columns)

    def __getitem__(self, name: str) -> Series:
        return self._columns[name]

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))


MILLISECONDS = [round((AT.timestamp() + i) * 1000) for i in range(3)]


@pytest.mark.parametrize(
    ("events", "timestamps"),
    [
        (PATTERN, [AT + timedelta(seconds=i) for i in range(3)]),
        (PATTERN, MILLISECONDS),
        (PATTERN, np.array(MILLISECONDS) / 1000),
        (PATTERN, np.array(MILLISECONDS) * 1000),
        (PATTERN, np.array(MILLISECONDS) * 1_000_000),
        (PATTERN, np.array(MILLISECONDS, "datetime64[ms]")),
        (PATTERN, list(np.array(MILLISECONDS, "datetime64[ms]"))),
        (PATTERN, [f"2026-11-02T09:30:0{i}+01:00" for i in range(3)]),
        ({"features": PATTERN, "timestamp": MILLISECONDS}, None),
        ({"features": [row.tolist() for row in PATTERN], "timestamp": tuple(MILLISECONDS)}, None),
        ({"features": [str(row.tolist()) for row in PATTERN], "timestamp": MILLISECONDS}, None),
        ([{"features": row, "timestamp": at} for row, at in zip(PATTERN, MILLISECONDS, strict=True)], None),
        ([DriftEvent(features=row, timestamp=at / 1000) for row, at in zip(PATTERN, MILLISECONDS, strict=True)], None),
        (DataFrame(features=Series([row.tolist() for row in PATTERN]), timestamp=Series(MILLISECONDS)), None),
        (
            DataFrame(
                features=Series(list(PATTERN)),
                timestamp=Series(
                    [AT.astimezone(timezone(timedelta(hours=2))) + timedelta(seconds=i) for i in range(3)],
                    type("Zoned", (), {"tz": "Europe/Berlin"}),
                ),
            ),
            None,
        ),
        (DataFrame(features=Series(list(PATTERN)), timestamp=Series(MILLISECONDS, "datetime64[ms]")), None),
    ],
)
def test_every_form_says_the_same(events: Events, timestamps: Any) -> None:
    found = read(events, timestamps)
    assert (found.refused, found.problems) == (0, {})
    assert np.array_equal(found.batch.features, PATTERN)
    assert found.batch.features.dtype == np.float32
    assert found.batch.times.tolist() == [AT.timestamp() + i for i in range(3)]


def test_columns_as_a_notebook_of_fiddler_has_them() -> None:
    frame = DataFrame(
        embedding=Series([[0.0, 1.0], [1.0, 0.0]]),
        prob_cat=Series([0.25, 0.5]),
        prob_dog=Series([0.75, 0.5]),
        target=Series(["dog", "cat"]),
        image_url=Series(["https://host/1.png", None]),
        timestamp=Series(MILLISECONDS[:2]),
        event=Series([1, 2]),
    )
    found = read(
        frame, classes=2, features="embedding", probabilities=("prob_cat", "prob_dog"), image="image_url", id="event"
    )
    batch = found.batch
    assert (found.refused, found.problems) == (0, {})
    assert batch.probabilities is not None
    assert batch.probabilities.tolist() == [[0.25, 0.75], [0.5, 0.5]]
    assert (batch.targets, batch.images, batch.ids) == (["dog", "cat"], ["https://host/1.png", None], ["1", "2"])


def test_a_column_for_each_dimension() -> None:
    found = read({"f0": [1.0, 2.0, None, "x"], "f1": [3.0, math.nan, None, 1.0]}, features=("f0", "f1"))
    assert found.batch.features.tolist() == [[1.0, 3.0]]
    assert found.problems == {"features: not finite": 1, "features: missing": 1, "features: wrong type": 1}


def test_what_is_wrong_is_counted_and_the_rest_is_taken() -> None:
    rows = [
        {"features": [1, 2], "timestamp": AT, "brightness": 0.5, "ood_score": 0.1, "probabilities": [0.5, 0.5]},
        {"features": None, "timestamp": AT},
        {"features": [1, 2, 3], "timestamp": AT},
        {"features": [1, math.nan], "timestamp": AT},
        {"features": [1, "2"], "timestamp": AT},
        {"features": "no vector", "timestamp": AT},
        {"features": 7, "timestamp": AT},
        {"features": [1, 2]},
        {"features": [1, 2], "timestamp": AT.replace(tzinfo=None)},
        {"features": [1, 2], "timestamp": "yesterday"},
        {"features": [1, 2], "timestamp": 12},
        {"features": [1, 2], "timestamp": NOW + 2 * 86400},
        {"features": [3, 4], "timestamp": AT, "brightness": 1.5, "ood_score": math.inf, "probabilities": [2, 0]},
        {"features": [5, 6], "timestamp": AT, "segment": {}, "id": "i" * 300, "image": b"x" * 70_000, "target": 3.5},
    ]
    found = read(rows, classes=2)
    assert found.batch.features.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert found.refused == 11
    assert found.problems == {
        "features: missing": 1, "features: wrong width": 1, "features: not finite": 1, "features: wrong type": 3,
        "timestamp: missing": 1, "timestamp: wrong type": 2, "timestamp: out of range": 2,
        "brightness: out of range": 1, "ood_score: not finite": 1, "probabilities: out of range": 1,
        "segment: wrong type": 1, "id: out of range": 1, "image: out of range": 1,
    }  # fmt: skip
    batch = found.batch
    assert batch.probabilities is not None
    assert np.array_equal(batch.probabilities, np.array([[0.5, 0.5], [math.nan] * 2, [math.nan] * 2]), equal_nan=True)
    assert np.array_equal(batch.numbers["brightness"], [0.5, math.nan, math.nan], equal_nan=True)
    assert (batch.segments, batch.ids, batch.targets) == (["", "", ""], [None] * 3, [None, None, "3.5"])


def test_events_without_times_are_of_now() -> None:
    assert read(PATTERN).batch.times.tolist() == [NOW] * 3
    assert read([DriftEvent(features=[0, 0])]).batch.times.tolist() == [NOW]
    assert read(PATTERN, AT).batch.times.tolist() == [AT.timestamp()] * 3


@pytest.mark.parametrize(
    ("events", "timestamps", "message"),
    [
        (np.zeros(3), None, r"expected an array \(N, D\) of features, got one of shape \(3,\)"),
        ("events", None, "expected DriftEvent or mappings, got str"),
        ([1, 2], None, "expected DriftEvent or mappings, got int"),
        (7, None, "expected a data frame, .*, got int"),
        ({"embedding": PATTERN}, None, "there is no column 'features'; say what it is called by columns="),
        ({"features": PATTERN, "id": [1]}, None, "columns differ in length: features 3, id 1"),
        (PATTERN, [AT], "timestamps: there are 1 for 3 events"),
    ],
)
def test_what_is_no_events(events: Any, timestamps: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read(events, timestamps)


def test_a_named_column_that_is_missing() -> None:
    with pytest.raises(SpecError, match="there is no column 'b' for probabilities"):
        read({"features": PATTERN, "a": [1, 2, 3]}, probabilities=("a", "b"))


ODD = [
    None, True, 0, -1, 1, 10**400, 1e308, -0.5, 0.5, math.nan, math.inf, "", "x", "[1, 2]", "[1, null]", "2026-11-02T09:30:00+01:00",
    b"", b"x", {}, [], [1, 2], [1.0, None], [math.inf, 1], ["1", "2"], [[1, 2], [3, 4]], [1, [2]], np.float32(1), np.zeros(2), np.zeros((2, 2)),
    np.datetime64("NaT"), np.datetime64("2026-11-02"), AT, AT.replace(tzinfo=None), datetime.max, datetime.max.replace(tzinfo=UTC),
    1j, object(), 1_790_000_000, 1_790_000_000_000, MILLISECONDS[0],
]  # fmt: skip
ANYTHING = st.sampled_from(ODD)
FIELDS = (
    "timestamp",
    "probabilities",
    "brightness",
    "ood_score",
    "segment",
    "id",
    "target",
    "image",
    "model_version",
)


@given(
    st.lists(
        st.fixed_dictionaries({"features": ANYTHING}, optional=dict.fromkeys(FIELDS, ANYTHING)),
        min_size=1,
        max_size=4,
    )
)
def test_nothing_raises_and_every_event_is_taken_or_refused(rows: list[dict[str, Any]]) -> None:
    found = read(rows, classes=2)
    batch = found.batch
    assert len(batch) + found.refused == len(rows)
    assert np.isfinite(batch.features).all()
    assert np.isfinite(batch.times).all()
    assert ((batch.times >= integrity.EARLIEST) & (batch.times <= NOW + 86400)).all()
    assert (
        sum(count for what, count in found.problems.items() if what.startswith(("features", "timestamp")))
        >= found.refused
    )


def test_no_events() -> None:
    for nothing in ([], {}, np.zeros((0, 2))):
        assert len(read(nothing).batch) == 0


def test_a_part_of_the_events() -> None:
    source = source_of([{"features": [i, i], "id": i} for i in range(5)], None, EventColumns())
    found = read_events(source, slice(2, 4), Expected(2, None, NOW))
    assert found.batch.features.tolist() == [[2, 2], [3, 3]]
    assert found.batch.ids == ["2", "3"]


def test_values_that_no_float32_can_hold_are_not_finite() -> None:
    values, codes = integrity.vectors(np.array([[1e300, 0], [1, 2]]), 2)
    assert problems_of(codes) == [Problem.NOT_FINITE, None]
    assert np.isnan(values[0]).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 3), (15, 40), (64, 64), (480, 640)])
def test_statistics_of_a_plain_picture(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 51, np.uint8)
    found = measure([sample(image), sample(np.asfortranarray(image))])
    assert found["brightness"].tolist() == pytest.approx([0.2, 0.2])
    assert found["sharpness"].tolist() == [0, 0]
    assert (found["height"].tolist(), found["width"].tolist()) == ([size[0]] * 2, [size[1]] * 2)


def test_darker_and_blurred_pictures_show() -> None:
    import cv2

    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(image, (3, 3), 0.8), np.uint8)
    found = measure([sample(image), sample(image // 2), sample(blurred)])
    assert found["brightness"][1] == pytest.approx(found["brightness"][0] / 2, rel=0.02)
    assert found["sharpness"][2] < found["sharpness"][0] / 3


def test_a_sample_is_a_copy() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    taken = sample(image)
    image[:] = 255
    assert not taken.pixels.any()
