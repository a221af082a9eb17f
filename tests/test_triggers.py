"""When triggers fire, with which score, and what their combinations make of it."""

import functools
import inspect
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hook_fixtures import frame
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.annotation import Label
from aiohooks.errors import SpecError, TriggerError
from aiohooks.frame import Frame
from aiohooks.hooks.naming import name_of
from aiohooks.hooks.triggers import (
    AllOf,
    AlwaysTrigger,
    AnyOf,
    ConfidenceTrigger,
    EmptyLabelTrigger,
    LabelTrigger,
    Not,
    ObjectCountTrigger,
    SyncTrigger,
    Trigger,
    ask,
    named_labels,
)
from aiohooks.hooks.verdict import Verdict, verdict_of
from aiohooks.prediction import Prediction, Task

pytestmark = pytest.mark.anyio

LABELS = ("cat", "dog", "bird", "nothing")
FRAME = frame()


def found(*objects: dict[str, float]) -> Prediction:
    """A prediction with these objects, each given by its labels and their scores."""
    flat = [(i, LABELS.index(name), score) for i, labels in enumerate(objects) for name, score in labels.items()]
    owners, labels, scores = zip(*flat, strict=True) if flat else ((), (), ())
    return Prediction(
        task=Task.DETECTION,
        size=(4, 4),
        labels=tuple(Label(name=name, is_empty=name == "nothing") for name in LABELS),
        boxes=np.tile(np.array([0, 0, 2, 2], np.float32), (len(objects), 1)),
        scores=np.array(scores, np.float32),
        label_indices=np.array(labels, np.int32),
        object_indices=np.array(owners, np.int32),
    )


NOTHING = found()
GETI_NOTHING = found({"nothing": 0.0})
CAT_AND_DOG = found({"cat": 0.75}, {"dog": 0.25})
predictions = st.lists(
    st.dictionaries(st.sampled_from(LABELS[:3]), st.floats(0, 1, width=32), min_size=1), max_size=4
).map(lambda objects: found(*objects))
label_names = st.lists(st.sampled_from(LABELS[:3]), min_size=1)


def verdict(trigger: Any, prediction: Prediction) -> tuple[bool, float]:
    verdict = trigger.evaluate(FRAME, prediction)
    return verdict.fired, verdict.score


@pytest.mark.parametrize(
    ("value", "fired", "score"),
    [
        (True, True, 1.0),
        (False, False, 0.0),
        (0.5, False, 0.5),
        (0.51, True, 0.51),
        (3, True, 3.0),
        (math.inf, True, math.inf),
        (np.bool_(True), True, 1.0),
        (np.float32(0.25), False, 0.25),
        (np.int64(0), False, 0.0),
        (Verdict(True, 0.1), True, 0.1),
    ],
)
def test_bools_stand_for_themselves_and_numbers_fire_above_one_half(value: object, fired: bool, score: float) -> None:
    verdict = verdict_of(value, "t")
    assert (verdict.fired, verdict.score, bool(verdict)) == (fired, score, fired)
    assert type(verdict.fired) is bool
    assert type(verdict.score) is float


@pytest.mark.parametrize("value", [None, math.nan, np.float32("nan"), "yes", [1.0], 1j, np.zeros(3), "x" * 500])
def test_an_answer_that_is_no_verdict_is_an_error_that_names_the_trigger_and_shows_it(value: object) -> None:
    with pytest.raises(TriggerError, match=r"trigger is_dark returned .*must return a bool or a float") as caught:
        verdict_of(value, "is_dark")
    assert repr(value)[:70] in str(caught.value)
    assert len(str(caught.value)) < 200


def test_always_fires_always() -> None:
    assert verdict(AlwaysTrigger(), NOTHING) == verdict(AlwaysTrigger(), CAT_AND_DOG) == (True, 1)


def test_empty_label_fires_if_nothing_was_found_however_that_is_written() -> None:
    assert verdict(EmptyLabelTrigger(), NOTHING) == verdict(EmptyLabelTrigger(), GETI_NOTHING) == (True, 1)
    assert verdict(EmptyLabelTrigger(), CAT_AND_DOG) == (False, 0)


@given(predictions, label_names)
def test_label_fires_on_any_or_on_all_of_its_labels(prediction: Prediction, names: list[str]) -> None:
    seen = [name in prediction.label_names for name in names]
    assert verdict(LabelTrigger(names), prediction) == (any(seen), any(seen))
    assert verdict(LabelTrigger(names, mode="AND"), prediction) == (all(seen), all(seen))


@pytest.mark.parametrize("prediction", [NOTHING, GETI_NOTHING])
def test_the_empty_label_counts_as_found_where_nothing_was_found(prediction: Prediction) -> None:
    assert verdict(LabelTrigger(["nothing"]), prediction) == (True, 1)
    assert verdict(LabelTrigger(["nothing"]), CAT_AND_DOG) == (False, 0)


@given(predictions, st.floats(0, 1), st.none() | label_names)
def test_confidence_fires_below_its_threshold_on_the_lowest_probability(
    prediction: Prediction, threshold: float, names: list[str] | None
) -> None:
    lowest = min(
        (
            label.probability
            for found in prediction.annotations
            for label in found.labels
            if not names or label.name in names
        ),
        default=1.0,
    )
    assert verdict(ConfidenceTrigger(threshold, names), prediction) == (lowest < threshold, lowest)


@pytest.mark.parametrize("prediction", [NOTHING, GETI_NOTHING])
def test_confidence_is_sure_where_nothing_was_found(prediction: Prediction) -> None:
    assert verdict(ConfidenceTrigger(1.0), prediction) == (False, 1)
    assert verdict(ConfidenceTrigger(1.0, ["nothing"]), prediction) == (False, 1)


@given(predictions, st.integers(0, 4), st.none() | label_names)
def test_object_count_counts_objects_not_labels(
    prediction: Prediction, threshold: int, names: list[str] | None
) -> None:
    matching = [found for found in prediction.annotations if not names or not set(names).isdisjoint(found.label_names)]
    count = len(matching)
    expected = {"greater": count > threshold, "lower": count < threshold, "equal": count == threshold}
    for mode, fires in expected.items():
        assert verdict(ObjectCountTrigger(threshold, names, mode), prediction) == (fires, count)  # type: ignore[arg-type]  # from a dict


def test_an_object_with_two_matching_labels_counts_once_and_geti_s_nothing_not_at_all() -> None:
    assert verdict(ObjectCountTrigger(1, ["cat", "dog"], "equal"), found({"cat": 0.9, "dog": 0.8})) == (True, 1)
    assert verdict(ObjectCountTrigger(0), GETI_NOTHING) == (False, 0)


@pytest.mark.parametrize(
    ("cls", "parameters", "problem"),
    [
        (LabelTrigger, {"label_names": []}, "label_names: .*length >= 1"),
        (LabelTrigger, {"label_names": "dog"}, r"label_names: .*write \['dog'\]"),
        (LabelTrigger, {"label_names": ["dog", ""]}, r"label_names\[1\]: .*length >= 1"),
        (LabelTrigger, {"label_names": ["dog"], "mode": "XOR"}, "mode: .*'XOR'; expected OR or AND"),
        (ConfidenceTrigger, {"threshold": 1.01}, "threshold: .*<= 1.0, got 1.01"),
        (ConfidenceTrigger, {"threshold": -0.1}, "threshold: .*>= 0.0, got -0.1"),
        (ConfidenceTrigger, {"threshold": math.nan}, "threshold: .*got nan"),
        (ConfidenceTrigger, {"threshold": "0.5"}, "threshold: Expected float, got str$"),
        (ConfidenceTrigger, {"label_names": []}, "label_names: .*length >= 1"),
        (ObjectCountTrigger, {"threshold": -1}, "threshold: .*>= 0, got -1"),
        (ObjectCountTrigger, {"threshold": 1.5}, "threshold: Expected int, got float$"),
        (ObjectCountTrigger, {"mode": "more"}, "mode: .*'more'; expected greater or lower or equal"),
    ],
)
def test_wrong_parameters_are_refused_where_they_are_given(cls: Any, parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError, match=rf"{cls.__name__}\.{problem}"):
        cls(**parameters)


def test_what_is_no_trigger_cannot_be_part_of_a_combination() -> None:
    always: Any = AlwaysTrigger()
    with pytest.raises(SpecError, match="AllOf: parts must hold at least one trigger"):
        AllOf([])
    with pytest.raises(SpecError, match=r"AllOf: parts\[1\] is not a trigger but int 3"):
        always & 3
    with pytest.raises(SpecError, match=r"AnyOf: parts\[1\] is the class AlwaysTrigger; make a trigger of it"):
        always | AlwaysTrigger
    with pytest.raises(SpecError, match="Not: part is the class AlwaysTrigger"):
        Not(AlwaysTrigger)  # type: ignore[arg-type]  # the mistake


def test_names_given_as_a_list_cannot_be_changed_later() -> None:
    names = ["dog"]
    trigger = LabelTrigger(names)
    names.append("cat")
    assert trigger.label_names == ("dog",)
    assert trigger == LabelTrigger(("dog",))


async def is_bright(frame: Frame, prediction: Prediction) -> float:
    return 0.75


async def is_late(frame: Frame, prediction: Prediction) -> bool:
    return False


async def test_built_in_triggers_and_plain_functions_combine_from_both_sides() -> None:
    dog = LabelTrigger(["dog"])
    for trigger, fires in [
        (dog & is_bright, True),
        (is_bright & dog, True),
        (dog & is_late, False),
        (is_late | dog, True),
    ]:
        answer = await trigger(FRAME, CAT_AND_DOG)
        assert (answer.fired, answer.score) == (fires, fires)
    assert (is_bright & dog).parts == (is_bright, dog)
    assert (await (~dog | ~AllOf([is_bright, is_late]))(FRAME, CAT_AND_DOG)).fired


async def test_a_combination_goes_by_what_fires_and_reports_the_score_of_each_part() -> None:
    trigger = LabelTrigger(["dog"]) & ~ConfidenceTrigger(0.1) & (ObjectCountTrigger(1) | is_late)
    answer = await trigger(FRAME, CAT_AND_DOG)
    assert answer == Verdict(True, 1.0, {"LabelTrigger": 1.0, "ConfidenceTrigger": 0.25, "ObjectCountTrigger": 2.0})
    assert trigger == LabelTrigger(["dog"]) & ~ConfidenceTrigger(0.1) & (ObjectCountTrigger(1) | is_late)


class Yes(SyncTrigger, frozen=True, tag=True):
    answer: bool

    def evaluate(self, _frame: Frame, _prediction: Prediction, /) -> Verdict:
        return Verdict(self.answer, float(self.answer))


def later(answer: bool, asked: list[bool] | None = None) -> Trigger:
    async def trigger(frame: Frame, prediction: Prediction) -> bool:
        if asked is not None:
            asked.append(answer)
        return answer

    return trigger


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda parts: (
            parts.map(Not) | st.lists(parts, min_size=1, max_size=3).map(AllOf) | st.lists(parts, min_size=1).map(AnyOf)
        ),
        max_leaves=8,
    )


def truth(trigger: Any) -> bool:
    match trigger:
        case Not(part=part):
            return not truth(part)
        case AllOf(parts=parts):
            return all(truth(part) for part in parts)
        case AnyOf(parts=parts):
            return any(truth(part) for part in parts)
        case Yes(answer=answer):
            return answer
    return bool(inspect.getclosurevars(trigger).nonlocals["answer"])


def leaves(trigger: Any) -> list[Any]:
    parts = trigger.parts if isinstance(trigger, AllOf | AnyOf) else [trigger.part] if isinstance(trigger, Not) else []
    return [leaf for part in parts for leaf in leaves(part)] if parts else [trigger]


@given(trees(st.booleans().map(Yes)))
def test_combinations_of_synchronous_triggers_are_boolean_algebra_without_waiting(trigger: Any) -> None:
    answer = trigger.evaluate(FRAME, NOTHING)
    assert answer.fired is truth(trigger)
    assert answer.score == answer.fired
    if not isinstance(trigger, Yes):
        assert list(answer.parts.values()) == [leaf.answer for leaf in leaves(trigger)]


@given(trees(st.booleans().map(Yes) | st.booleans().map(later)))
def test_combinations_with_asynchronous_parts_are_boolean_algebra_too(trigger: Any) -> None:
    synchronous = all(isinstance(leaf, Yes) for leaf in leaves(trigger))
    assert hasattr(trigger, "evaluate") is synchronous
    coroutine = ask(trigger, FRAME, NOTHING)
    with pytest.raises(StopIteration) as returned:
        coroutine.send(None)  # nothing in it waits
    answer = returned.value.value
    assert answer.fired is truth(trigger)
    names = [name_of(leaf) for leaf in leaves(trigger)]
    numbered = [
        name if not names[:i].count(name) else f"{name} {names[:i].count(name) + 1}" for i, name in enumerate(names)
    ]
    scores = dict(zip(numbered, [float(truth(leaf)) for leaf in leaves(trigger)], strict=True))
    assert answer.parts.items() <= scores.items()


async def test_asynchronous_parts_are_asked_in_order_and_only_until_the_answer_is_settled() -> None:
    asked: list[bool] = []
    yes, no = later(True, asked), later(False, asked)
    assert not await ask(AllOf([yes, no, yes]), FRAME, NOTHING)
    assert asked == [True, False]
    asked.clear()
    assert await ask(AnyOf([no, yes, no]), FRAME, NOTHING)
    assert asked == [False, True]
    asked.clear()
    answer = await ask(AllOf([yes, Yes(False), Yes(True)]), FRAME, NOTHING)
    assert asked == []
    assert answer.parts == {"Yes": 0.0, "Yes 2": 1.0}


async def test_names_of_parts_do_not_depend_on_which_were_asked() -> None:
    yes = later(True)
    assert (await ask(AllOf([AnyOf([yes, yes]), yes]), FRAME, NOTHING)).parts == {"trigger": 1.0, "trigger 3": 1.0}


async def test_a_part_that_raises_or_is_not_asynchronous_fails_the_whole() -> None:
    async def broken(frame: Frame, prediction: Prediction) -> bool:
        raise ZeroDivisionError

    def plain(frame: Frame, prediction: Prediction) -> bool:
        return True

    with pytest.raises(ZeroDivisionError):
        await (AlwaysTrigger() & broken)(FRAME, NOTHING)
    with pytest.raises(TriggerError, match="trigger plain is not asynchronous: declare it as `async def plain"):
        await (AlwaysTrigger() & plain)(FRAME, NOTHING)  # type: ignore[operator]  # the mistake


def test_what_only_looks_like_a_combination_is_refused() -> None:
    with pytest.raises(TypeError, match="combine triggers with &"):
        AlwaysTrigger() and AlwaysTrigger()
    with pytest.raises(TypeError, match="combine triggers with &"):
        not AlwaysTrigger()  # the mistake


def test_names_of_triggers_and_of_the_labels_they_ask_for() -> None:
    class Lamp:
        async def __call__(self, frame: Frame, prediction: Prediction) -> bool:
            return True

    def names(trigger: Trigger) -> Sequence[str]:
        return sorted(named_labels(trigger))

    assert [name_of(t) for t in (AlwaysTrigger(), is_bright, functools.partial(is_bright), Lamp())] == [
        "AlwaysTrigger", "is_bright", "is_bright", "Lamp",
    ]  # fmt: skip
    assert names(is_bright) == names(ObjectCountTrigger()) == []
    assert names(LabelTrigger(["dog"]) & (is_bright | ~ConfidenceTrigger(0.5, ["cat"]))) == ["cat", "dog"]


async def test_a_synchronous_trigger_must_say_how_it_decides() -> None:
    class Forgotten(SyncTrigger, frozen=True, tag=True):
        pass

    with pytest.raises(NotImplementedError, match="Forgotten must have `evaluate"):
        await Forgotten()(FRAME, NOTHING)
