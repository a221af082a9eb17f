"""What rules and the stream alarm have found, on its way to actions."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.alert_actions import AlertAction
from aiohooks.monitors.drift.alert_runner import AlertRunner
from aiohooks.monitors.drift.ledger import Evaluated
from aiohooks.monitors.drift.rule import RuleState


class AlertDesk:
    """Gives every alert to the actions once, and knows how things stand.

    Args:
        name: of the monitor, which goes into the alerts.
        actions: what is done with an alert.
        timeout: seconds that an action may take for an alert.
        settled: called with the number of a rule's alert when the actions have ended with it.

    Attributes:
        runner: has the actions act.
        alarmed: names of the rules whose latest window is beyond a threshold.
        alarm_is_on: whether the stream alarm is.
        latest: what each rule, by its name and a segment, made of its latest window.
        alerts: how many there were, by rule and kind.
        given: number of the last alert of a rule that was given.
    """

    def __init__(
        self, name: str, actions: Sequence[AlertAction], timeout: float, settled: Callable[[int], None]
    ) -> None:
        self.runner = AlertRunner(actions, timeout)
        self.alarmed: frozenset[str] = frozenset()
        self.alarm_is_on = False
        self.latest: Mapping[tuple[str, str], RuleState] = {}
        self.alerts: Counter[tuple[str, str]] = Counter()
        self.given = 0
        self._name = name
        self._settled = settled

    def take(self, evaluated: Evaluated) -> list[DriftAlert]:
        """Take in what the rules found, and return the alerts that are new."""
        self.alarmed, self.latest = evaluated.alarmed, evaluated.latest
        given = []
        for number, alert in evaluated.alerts:
            if number > self.given:  # else another caller was faster
                self.given = number
                given.append(self.give(alert, partial(self._settled, number)))
        return given

    def give(self, alert: DriftAlert, ended: Callable[[], None] = lambda: None) -> DriftAlert:
        """Have the actions act on an alert, and return it with the monitor's name."""
        alert = msgspec.structs.replace(alert, monitor=self._name)
        self.alerts[alert.rule, alert.kind] += 1
        self.runner.put(alert, ended)
        return alert
