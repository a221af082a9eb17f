"""What is said of a window."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """What one measure says of a window.

    Attributes:
        name: of the measure.
        value: of the window; None if it could judge too few events.
        p_value: share of windows of its size, drawn from the baseline, whose value is as large; None as above.
        usual: the value that 95 % of such windows stay below; None as above.
    """

    name: str
    value: float | None
    p_value: float | None
    usual: float | None


@dataclass(frozen=True, slots=True)
class WindowDecision:
    """Whether a window's events are as those of the baseline.

    Attributes:
        count: number of events.
        p_value: share of windows of that size, drawn from the baseline, that look as different; None if there are too few events.
        measures: what it follows from.
        shown: other distances, for charts; they have no part in the decision.
        beyond: whether there are more events than windows were drawn with. Such a window is judged as one of the
            largest size, which is cautious: false alarms are fewer than asked for.
        problem: why there is no decision, or None.
    """

    count: int
    p_value: float | None
    measures: tuple[MeasureResult, ...]
    shown: tuple[MeasureResult, ...]
    beyond: bool
    problem: str | None

    def drifted(self, false_alarm_rate: float = 0.05) -> bool:
        """Say whether the window drifted, with false alarms in such a share of windows; no decision counts as no."""
        return self.p_value is not None and self.p_value <= false_alarm_rate
