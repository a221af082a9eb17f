"""What came of a run, as data."""

from collections.abc import AsyncIterable, Iterable
from pathlib import Path

import msgspec

from aiohooks.errors import AiohooksError
from aiohooks.hooks.outcome import Outcome, OutcomeKind
from aiohooks.hooks.running_hook import HookCounts, RunningHook
from aiohooks.inference.result import Result

FEW = 3
"""Reasons that are given for what failed often."""

_FAILURES = (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT, OutcomeKind.TRIGGER_FAILED, OutcomeKind.DELIVERY_FAILED)


class LabelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How often a label was found.

    Attributes:
        label: its name.
        frames: frames with it.
        count: how often in all of them.
        mean_score: of these, in 0–1.
    """

    label: str
    frames: int
    count: int
    mean_score: float


class HookFailure(msgspec.Struct, kw_only=True):
    """A reason why a hook failed, how often it was the reason, and the frame that it came with first."""

    reason: str
    count: int
    frame: str


class HookSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a hook did; ``failures`` holds the first few reasons of what failed."""

    name: str
    counts: HookCounts
    failures: tuple[HookFailure, ...]

    @property
    def failed(self) -> bool:
        """Whether anything of what it should have done was not done, except what its settings let it drop."""
        counts = self.counts
        return bool(counts.trigger_failed or counts.failed or counts.timed_out or counts.cancelled)


class OutputSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A folder or video with annotated frames, and how many went there."""

    path: Path
    frames: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run.

    Attributes:
        model: name of the model.
        frames: frames with a prediction.
        failed: frames that could not be read or inferred.
        errors: the first few reasons of these.
        seconds: from the first frame to the last.
        frames_per_second: of those with a prediction.
        nothing: frames in which nothing was found.
        labels: what was found, the most frequent first.
        hooks: what the hooks did.
        outputs: where annotated frames are.
        ended_early: why it did not go through all frames; empty if it did.
    """

    model: str
    frames: int
    failed: int
    errors: tuple[str, ...]
    seconds: float
    frames_per_second: float
    nothing: int
    labels: tuple[LabelSummary, ...]
    hooks: tuple[HookSummary, ...]
    outputs: tuple[OutputSummary, ...]
    ended_early: str

    @property
    def is_good(self) -> bool:
        """Whether nothing failed."""
        return not (self.failed or any(hook.failed for hook in self.hooks))


class Tally:
    """Counts what a model sees.

    Attributes:
        frames: frames with a prediction.
        failed: frames without.
        errors: the first few reasons of these.
        nothing: frames in which nothing was found.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.failed = 0
        self.errors: list[str] = []
        self.nothing = 0
        self._frames: dict[str, int] = {}
        self._scores: dict[str, tuple[int, float]] = {}

    def add(self, result: Result) -> None:
        """Count a frame."""
        try:
            prediction = result.prediction
        except AiohooksError as error:
            self.failed += 1
            if len(self.errors) < FEW:
                self.errors.append(str(error))
            return
        self.frames += 1
        if prediction.is_empty:
            self.nothing += 1
            return
        names = prediction.label_names
        for name, score in zip(names, prediction.scores.tolist(), strict=True):
            count, total = self._scores.get(name, (0, 0.0))
            self._scores[name] = count + 1, total + score
        for name in set(names):
            self._frames[name] = self._frames.get(name, 0) + 1

    def labels(self) -> tuple[LabelSummary, ...]:
        """Return what was found, the most frequent first."""
        found = [
            LabelSummary(label=name, frames=self._frames[name], count=count, mean_score=total / count)
            for name, (count, total) in self._scores.items()
        ]
        return tuple(sorted(found, key=lambda label: (-label.count, label.label)))


class HookFailures:
    """Counts the first few reasons of what failed, for each hook."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, HookFailure]] = {}

    async def follow(self, outcomes: AsyncIterable[Outcome]) -> None:
        """Take in outcomes until they end."""
        async for outcome in outcomes:
            if outcome.kind in _FAILURES:
                self.add(outcome)

    def add(self, failure: Outcome) -> None:
        """Take in the outcome of something that failed."""
        reasons = self._found.setdefault(failure.hook, {})
        reason = str(failure.error or failure.kind.replace("_", " ")).removeprefix(f"hook {failure.hook}: ")
        if reason in reasons:
            reasons[reason].count += 1
        elif len(reasons) < FEW:
            frame = failure.frame_name or f"frame {failure.frame_index}"
            reasons[reason] = HookFailure(reason=reason, count=1, frame=frame)

    def summaries(self, hooks: Iterable[RunningHook]) -> tuple[HookSummary, ...]:
        """Return what these hooks did."""
        return tuple(
            HookSummary(name=hook.name, counts=hook.counts, failures=tuple(self._found.get(hook.name, {}).values()))
            for hook in hooks
        )
