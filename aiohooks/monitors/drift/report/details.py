"""What the page's script shows of a window that is chosen, as JSON."""

import json
import math
from collections.abc import Sequence
from typing import Any

from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.bin import end_of
from aiohooks.monitors.drift.decision import WindowDecision
from aiohooks.monitors.drift.layout import CLUSTERS
from aiohooks.monitors.drift.report.findings import Finding, Findings
from aiohooks.monitors.drift.report.pictures import MOST_BYTES, chosen_pictures, data_url
from aiohooks.monitors.drift.report.plane import LARGEST, Plane, shares


def details_json(findings: Findings, plane: Plane) -> str:
    """Return the JSON, which may stand inside a script element."""
    baseline = findings.baseline
    usual = sum(len(data_url(picture)) for picture in baseline.sample.pictures)
    pictures = chosen_pictures(findings.windows, MOST_BYTES - usual)
    told = {
        "labels": list(findings.labels),
        "centres": _rounded(plane.centres.tolist()),
        "largest": LARGEST,
        "usual": _rounded(shares(baseline.reference.sums[baseline.layout[CLUSTERS]]).tolist(), 4),
        "windows": [
            _window(findings, window, plane, index, pictures[index]) for index, window in enumerate(findings.windows)
        ],
    }
    # "</script>" in the name of a label would end the element.
    return json.dumps(told, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")


def first_shown(findings: Findings) -> int:
    """Return the window that a page begins with: of those with an alert, or else of all, the least likely; of several the last."""
    alerted = {index for index, window in enumerate(findings.windows) if alerts_of(findings.alerts, window)}
    among = alerted or range(len(findings.windows))
    return max(among, key=lambda index: (-1.0 if math.isnan(s := findings.windows[index].surprise) else s, index))


def alerts_of(alerts: Sequence[DriftAlert], window: Finding) -> list[DriftAlert]:
    """Return the alerts about a window or a part of it, but for those that say that one is over."""
    return [
        alert
        for alert in alerts
        if alert.kind != "recovered" and alert.start >= window.start and end_of(alert.start, alert.bin) <= window.end
    ]


def _window(findings: Findings, window: Finding, plane: Plane, index: int, pictures: Sequence[str]) -> dict[str, Any]:
    return {
        "start": window.start,
        "end": window.end,
        "events": window.events,
        "refused": window.refused,
        "problems": dict(window.problems.most_common(4)),
        "p": _number(window.decision.p_value),
        "problem": window.decision.problem,
        "measures": _measures(window.decision),
        "classes": [
            [one.label, _number(one.share), _number(one.usual_share), _number(one.adjusted)] for one in window.classes
        ],
        "moved": [[one.index, _number(one.moved), _number(one.share)] for one in window.moved],
        "clusters": _rounded(shares(window.clusters).tolist(), 4),
        "mean": _rounded(plane.means[index].tolist()) if math.isfinite(plane.means[index][0]) else None,
        "points": _rounded(plane.points[index].tolist()),
        "segments": [[one.name, one.events, _number(one.decision.p_value)] for one in window.segments],
        "alerts": [alert.message for alert in alerts_of(findings.alerts, window)][:4],
        "pictures": [
            [*(("", url) if url == one.address else (url, "")), one.label, _number(one.ood_score)]
            for url, one in zip(pictures, window.examples, strict=True)
            if url
        ],
        "left": sum(
            1 for url, one in zip(pictures, window.examples, strict=True) if not url and (one.picture or one.address)
        ),
    }


def _measures(decision: WindowDecision) -> list[list[Any]]:
    return [
        [one.name, _number(one.value), _number(one.usual), _number(one.p_value)]
        for one in (*decision.measures, *decision.shown)
    ]


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.3g}")


def _rounded(value: Any, digits: int = 1) -> Any:
    return [_rounded(each, digits) for each in value] if isinstance(value, list) else round(value, digits)
