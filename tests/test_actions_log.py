"""What LogAction writes."""

import logging
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from aiohooks.errors import SpecError
from aiohooks.frame import Frame
from aiohooks.hooks.actions import LogAction
from aiohooks.hooks.event import HookEvent
from aiohooks.prediction import Prediction

pytestmark = pytest.mark.anyio

DOGS = Prediction.detection((4, 4), ["cat", "dog"], [[0, 0, 2, 2]] * 3, [0.9, 0.8, 0.7], ["dog", "cat", "dog"])


def event(name: str = "cam", prediction: Prediction = DOGS) -> HookEvent:
    frame = Frame(np.zeros((4, 4, 3), np.uint8), name=name, index=7, timestamp=datetime(2025, 1, 31, tzinfo=UTC))
    return HookEvent(frame, prediction, score=2 / 3, hook="dogs")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    return [(record.name, record.levelname, record.getMessage()) for record in caplog.records]


async def test_each_event_is_one_line_which_is_also_the_outcome(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    line = await LogAction()(event())
    assert line == "dogs: frame cam #7: dog, cat, dog (score 0.667)"
    nothing = Prediction.empty(DOGS.task, (4, 4), DOGS.labels)
    await LogAction("error", "{timestamp}|{count}|{labels}|{score:.1f}|{{}}")(event(prediction=nothing))
    assert lines(caplog) == [
        ("aiohooks.hooks", "INFO", line),
        ("aiohooks.hooks", "ERROR", "2025-01-31T00:00:00+00:00|0|nothing|0.7|{}"),
    ]


async def test_a_name_cannot_forge_a_second_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert await LogAction(message="{name}")(event("a\nERROR b\x1b[31m 猫")) == "a\\nERROR b\\x1b[31m 猫"


async def test_a_level_that_is_off_writes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await LogAction("debug")(event())
    assert lines(caplog) == []


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"level": "loud"}, "level: .*'loud'; expected debug or info"),
        ({"message": "{labels"}, "message: .*'}'"),
        ({"message": "{who}"}, "message: unknown {who}; known are {hook}, {name}"),
        ({"message": "{}"}, "message: unknown {}"),
        ({"message": "{name.__class__}"}, "message: unknown {name.__class__}"),
        ({"message": "{labels[0]}"}, r"message: unknown {labels\[0\]}"),
        ({"message": "{score:{index}}"}, "message: unknown {score}"),
        ({"message": "{name:.2f}"}, "message: Unknown format code 'f'"),
        ({"message": 3}, "message: Expected str, got int"),
    ],
)
def test_wrong_parameters_are_refused_where_they_are_given(parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError, match=rf"LogAction\.{problem}"):
        LogAction(**parameters)
