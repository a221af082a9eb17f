"""Triggers made of triggers: ``a & b``, ``a | b`` and ``~a``."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import msgspec

from aiohooks.errors import SpecError
from aiohooks.frame import Frame
from aiohooks.hooks.naming import name_of
from aiohooks.hooks.triggers.trigger import Trigger, ask, ask_at_once
from aiohooks.hooks.verdict import Verdict
from aiohooks.prediction import Prediction


class Combinable:
    """Gives a trigger ``&``, ``|`` and ``~``; the other side may be any trigger, also a plain async function."""

    __slots__ = ()

    def __and__(self: Trigger, other: Trigger) -> "AllOf":
        return AllOf((*_spread(AllOf, self), *_spread(AllOf, other)))

    def __rand__(self: Trigger, other: Trigger) -> "AllOf":
        return AllOf((*_spread(AllOf, other), *_spread(AllOf, self)))

    def __or__(self: Trigger, other: Trigger) -> "AnyOf":
        return AnyOf((*_spread(AnyOf, self), *_spread(AnyOf, other)))

    def __ror__(self: Trigger, other: Trigger) -> "AnyOf":
        return AnyOf((*_spread(AnyOf, other), *_spread(AnyOf, self)))

    def __invert__(self: Trigger) -> "Not":
        return Not(self)

    def __bool__(self) -> bool:
        raise TypeError("a trigger is neither true nor false: combine triggers with &, | and ~, not with and, or, not")


class Combination(Combinable, msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True, dict=True):
    """Asks several triggers and goes by whether they fired: their scores have no common scale.

    Parts that can answer without waiting are all asked. The others are asked in order, until the answer is settled;
    those that were not needed are missing from ``Verdict.parts``. The score is 1 if the combination fires, else 0.
    """

    parts: Sequence[Trigger]

    # The answer of a single part that settles the whole.
    _decisive: ClassVar[bool]

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "parts", tuple(self.parts))
        if not self.parts:
            raise SpecError(f"{type(self).__name__}: parts must hold at least one trigger")
        for i, part in enumerate(self.parts):
            _check_part(f"{type(self).__name__}: parts[{i}]", part)

    @property
    def evaluate(self) -> Callable[[Frame, Prediction], Verdict]:
        """``evaluate(frame, prediction)`` gives the verdict without waiting.

        Raises:
            AttributeError: a part can only be awaited.
        """
        if not self._is_synchronous:
            raise AttributeError(f"{type(self).__name__} can only be awaited, because one of its parts can")
        return self._evaluate

    async def __call__(self, frame: Frame, prediction: Prediction, /) -> Verdict:
        """Return the verdict."""
        verdicts = self._ask_at_once(frame, prediction)
        for i, part in enumerate(self.parts):
            if self._settled(verdicts):
                break
            if i not in verdicts:
                verdicts[i] = await ask(part, frame, prediction)
        return self._verdict(verdicts)

    def _evaluate(self, frame: Frame, prediction: Prediction) -> Verdict:
        return self._verdict(self._ask_at_once(frame, prediction))

    @cached_property
    def _is_synchronous(self) -> bool:
        return all(hasattr(part, "evaluate") for part in self.parts)

    @cached_property
    def _names(self) -> Sequence[Mapping[str, str]]:
        """For each part, what its scores are called here by what it calls them itself."""
        names = iter(_numbered([name for part in self.parts for name in _leaf_names(part)]))
        return [{own: next(names) for own in _numbered(list(_leaf_names(part)))} for part in self.parts]

    def _ask_at_once(self, frame: Frame, prediction: Prediction) -> dict[int, Verdict]:
        verdicts = ((i, ask_at_once(part, frame, prediction)) for i, part in enumerate(self.parts))
        return {i: verdict for i, verdict in verdicts if verdict is not None}

    def _settled(self, verdicts: Mapping[int, Verdict]) -> bool:
        return any(verdict.fired is self._decisive for verdict in verdicts.values())

    def _verdict(self, verdicts: Mapping[int, Verdict]) -> Verdict:
        fired = self._decisive if self._settled(verdicts) else not self._decisive
        scores = {
            self._names[i][name]: score
            for i, verdict in sorted(verdicts.items())
            for name, score in _scores(self.parts[i], verdict).items()
        }
        return Verdict(fired, float(fired), scores)


class AllOf(Combination, frozen=True, tag=True):
    """Fires if every part fires; ``a & b`` makes one.

    Attributes:
        parts: at least one trigger.

    Raises:
        SpecError: there are no parts, or one is not a trigger.
    """

    _decisive: ClassVar[bool] = False


class AnyOf(Combination, frozen=True, tag=True):
    """Fires if at least one part fires; ``a | b`` makes one.

    Attributes:
        parts: at least one trigger.

    Raises:
        SpecError: there are no parts, or one is not a trigger.
    """

    _decisive: ClassVar[bool] = True


class Not(Combinable, msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Fires if its part does not; ``~a`` makes one. The score is 1 if it fires, else 0.

    Attributes:
        part: a trigger.

    Raises:
        SpecError: ``part`` is not a trigger.
    """

    part: Trigger

    def __post_init__(self) -> None:
        _check_part("Not: part", self.part)

    @property
    def evaluate(self) -> Callable[[Frame, Prediction], Verdict]:
        """``evaluate(frame, prediction)`` gives the verdict without waiting.

        Raises:
            AttributeError: the part can only be awaited.
        """
        if not hasattr(self.part, "evaluate"):
            raise AttributeError("Not can only be awaited, because its part can")
        return self._evaluate

    async def __call__(self, frame: Frame, prediction: Prediction, /) -> Verdict:
        """Return the verdict."""
        return self._verdict(await ask(self.part, frame, prediction))

    def _evaluate(self, frame: Frame, prediction: Prediction) -> Verdict:
        verdict = ask_at_once(self.part, frame, prediction)
        assert verdict is not None  # `evaluate` has asked
        return self._verdict(verdict)

    def _verdict(self, verdict: Verdict) -> Verdict:
        return Verdict(not verdict.fired, float(not verdict.fired), _scores(self.part, verdict))


def named_labels(trigger: object) -> frozenset[str]:
    """Return the names of all labels that a trigger or its parts ask for in a field ``label_names``."""
    own = frozenset(getattr(trigger, "label_names", None) or ())
    return own.union(*(named_labels(part) for part in parts_of(trigger)))


def introduce(trigger: object, model: object) -> None:
    """Tell a trigger, or its parts, which model's predictions it will see, if it has a method ``attached`` for that.

    Args:
        trigger: a trigger.
        model: a description of the model.

    Raises:
        SpecError: the model does not give what a trigger needs.
    """
    parts = parts_of(trigger)
    for part in parts:
        introduce(part, model)
    attached = getattr(trigger, "attached", None)
    if attached is not None and not parts:
        attached(model)


def _check_part(where: str, part: object) -> None:
    if isinstance(part, type):
        raise SpecError(f"{where} is the class {part.__name__}; make a trigger of it: {part.__name__}(…)")
    if not callable(part):
        raise SpecError(f"{where} is not a trigger but {type(part).__name__} {part!r}")


def _spread(kind: type[Combination], trigger: Trigger) -> Sequence[Trigger]:
    """Return what ``a & b & c`` puts side by side."""
    return trigger.parts if isinstance(trigger, kind) else (trigger,)


def parts_of(trigger: object) -> Sequence[Trigger]:
    """Return the triggers that one is made of; none if it is not a combination."""
    if isinstance(trigger, Combination):
        return trigger.parts
    return (trigger.part,) if isinstance(trigger, Not) else ()


def _scores(trigger: Trigger, verdict: Verdict) -> dict[str, float]:
    return verdict.parts if parts_of(trigger) else {name_of(trigger): verdict.score}


def _leaf_names(trigger: Trigger) -> Iterator[str]:
    """Name the triggers at the ends of the tree, from left to right; unlike verdicts, they are always all there."""
    parts = parts_of(trigger)
    if not parts:
        yield name_of(trigger)
    for part in parts:
        yield from _leaf_names(part)


def _numbered(names: Sequence[str]) -> list[str]:
    """Make names unique: the second ``a`` becomes ``a 2``."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return numbered
