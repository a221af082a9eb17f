"""A report as one page."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files

from aiohooks.charts import Chart
from aiohooks.html_page import html_page
from aiohooks.monitors.drift.report.charts import MOST_LABELS
from aiohooks.monitors.drift.report.details import alerts_of, details_json, first_shown
from aiohooks.monitors.drift.report.findings import Findings, SegmentFinding
from aiohooks.monitors.drift.report.pictures import data_url
from aiohooks.monitors.drift.report.plane import Plane, Projection, circles
from aiohooks.monitors.drift.shown_p import shown_p

MOST_ALERTS = 200

_MEANING: dict[Projection, str] = {
    "pca": "The cross is the window’s mean. The axes are those along which the baseline’s events and the windows’ means lie farthest apart.",
    "umap": "Events whose features are alike lie near each other (UMAP); what is far apart is unlike, no matter how far.",
}

_STREAM = ("traffic", "class mix", "true labels")


def page_of(title: str, findings: Findings, charts: Mapping[str, Chart], plane: Plane) -> str:
    """Return the page.

    Args:
        title: plain text.
        findings: what it tells.
        charts: of the findings.
        plane: its map.
    """
    package = files("aiohooks.monitors.drift.report")
    style, script = (package.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    sections = [
        f"<style>{style}</style>",
        _head(title, findings),
        _figures(findings),
        _notes(findings),
        _drift(charts, [*findings.usual_numbers, *_STREAM, "segments"]),
        _window(findings, plane),
        _stream(findings, charts),
        _segments(findings, charts),
        _alerts(findings),
        _reading(findings),
        f'<script type="application/json" id="windows">{details_json(findings, plane)}</script>',
    ]
    return html_page(title, "\n".join(section for section in sections if section), script=script)


def _head(title: str, findings: Findings) -> str:
    first, last = findings.windows[0], findings.windows[-1]
    return (
        f"<header><h1>{escape(title)}</h1><p>{_time(first.start)} – {_time(last.end)} UTC, by the {findings.length}: model "
        f"{escape(findings.version)} compared with a baseline of {findings.baseline.reference.count:,} events.</p></header>"
    )


def _figures(findings: Findings) -> str:
    decided = [window for window in findings.windows if window.decision.p_value is not None]
    drifted = sum(window.decision.drifted() for window in decided)
    # Those beyond the largest that was drawn are judged cautiously: of them, fewer are expected.
    beyond = sum(window.events > findings.baseline.largest_window for window in decided)
    most = "at most " if beyond else ""
    look = "critical" if drifted > 3 * max(1.0, 0.05 * len(decided)) else ""
    given = [alert for alert in findings.alerts if alert.kind != "recovered"]
    told = [
        ("events", f"{findings.events:,}", ""),
        ("refused", f"{findings.refused:,}", "warning" if findings.refused else ""),
        ("windows with p ≤ 0.05", f"{drifted:,} of {len(decided):,}", look),
        ("of these expected by chance", f"{most}{0.05 * len(decided):.1f}", ""),
        ("alerts", f"{len(given):,}", "critical" if given else "good"),
    ]
    tiles = (f'<div><dt>{what}</dt><dd class="{look}">{value}</dd></div>' for what, value, look in told)
    return f'<dl class="figures">{"".join(tiles)}</dl>'


def _notes(findings: Findings) -> str:
    notes = "".join(f'<li class="warning">{escape(note)}</li>' for note in findings.baseline.notes)
    return f"<section><h2>What the baseline says of itself</h2><ul>{notes}</ul></section>" if notes else ""


def _drift(charts: Mapping[str, Chart], others: Sequence[str]) -> str:
    measures = [name for name in charts if name not in others and name not in ("drift", "drift, wide")]
    figures = [_figure(charts["drift"], "time narrow"), *(_figure(charts[name], "time") for name in measures)]
    return (
        "<section><h2>Drift over time</h2><p>What is shaded is usual: where 19 in 20 windows of the same size lie without drift. A click on a chart "
        f'chooses a window.</p>{_figure(charts["drift, wide"], "time wide")}<div class="charts">{"".join(figures)}</div></section>'
    )


def _window(findings: Findings, plane: Plane) -> str:
    baseline, first = findings.baseline, first_shown(findings)
    usual = [url for url in map(data_url, baseline.sample.pictures) if url]
    pictures = "".join(f'<figure><img src="{url}" alt="of the baseline"></figure>' for url in usual)
    nothing = "<p>The baseline was fitted without pictures.</p>"
    return (
        '<section id="window" hidden><h2>One window</h2><div class="choose">'
        '<button type="button" id="earlier">Earlier</button>'
        f'<select id="choice" aria-label="window">{"".join(_options(findings, first))}</select>'
        '<button type="button" id="later">Later</button></div>'
        '<h3 id="title" aria-live="polite"></h3><div id="verdict"></div><div class="columns">'
        '<div><div id="measures"></div><div id="more"></div></div>'
        f'<figure id="map">{_map(plane, findings)}<figcaption>Filled dots are events. Each circle is a cluster of the baseline, with an area as '
        "the share of events that are nearest to it: of the baseline (light blue), of the window (orange). "
        f"{_MEANING[plane.projection]}</figcaption></figure></div>"
        '<div class="beside"><div><h3>Pictures of this window</h3><div class="pictures" id="pictures"></div></div>'
        f'<div><h3>Pictures of the baseline</h3><div class="pictures">{pictures or nothing}</div></div></div></section>'
        "<noscript><p>With JavaScript, this page also shows the pictures and the map of any window.</p></noscript>"
    )


def _options(findings: Findings, first: int) -> Iterator[str]:
    for index, window in enumerate(findings.windows):
        said = " · alert" if alerts_of(findings.alerts, window) else ""
        p_value = window.decision.p_value
        told = "too few events" if p_value is None else f"p {shown_p(p_value)}"
        chosen = " selected" if index == first else ""
        yield f'<option value="{index}"{chosen}>{_time(window.start)} · {told}{said}</option>'


def _map(plane: Plane, findings: Findings) -> str:
    svg = plane.plot.chart().svg
    inner, end = svg.rsplit("</svg></svg>", 1)
    usual = circles(plane, findings.baseline)
    return f"{inner}{''.join(usual)}</svg></svg>{end}"


def _stream(findings: Findings, charts: Mapping[str, Chart]) -> str:
    names = [name for name in (*_STREAM, *findings.usual_numbers) if name in charts]
    figures = "".join(_figure(charts[name], "time") for name in names)
    labels = (
        f" Of labels, the {MOST_LABELS} whose share changed most are drawn."
        if len(findings.labels) > MOST_LABELS
        else ""
    )
    return (
        "<section><h2>The stream</h2><p>Dashed lines are the baseline’s shares."
        f"{labels} Shades of numbers are told from histograms with the baseline’s bins: what is beyond the outermost of these is drawn at their "
        f'ends.</p><div class="charts">{figures}</div></section>'
    )


def _segments(findings: Findings, charts: Mapping[str, Chart]) -> str:
    parts = []
    if findings.segments:
        left = f"<p>{findings.left_out:,} more segments are not shown.</p>" if findings.left_out else ""
        parts.append(
            f'<section><h2>Segments</h2><div class="columns">{_figure(charts["segments"], "time")}'
            f"<div>{_compared(findings.segments, 'segment')}{left}</div></div></section>"
        )
    if len(findings.versions) > 1:
        parts.append(f"<section><h2>Models</h2>{_compared(findings.versions, 'model')}</section>")
    return "".join(parts)


def _compared(found: Sequence[SegmentFinding], what: str) -> str:
    names = next((tuple(one.name for one in each.decision.shown) for each in found if each.decision.shown), ())
    head = "".join(f"<th>{cell}</th>" for cell in (what, "events", "p", *names))
    rows = []
    for each in found:
        p_value = each.decision.p_value
        look = "" if p_value is None else "critical" if p_value <= 0.01 else "warning" if p_value <= 0.05 else "good"
        shown = [
            f"{one.value:.3f} ({one.usual:.3f})"
            for one in each.decision.shown
            if one.value is not None and one.usual is not None
        ]
        cells = "".join(f"<td>{cell}</td>" for cell in shown or ["–"] * len(names))
        told = escape(shown_p(p_value))
        rows.append(
            f'<tr><th>{escape(each.name or "(none)")}</th><td>{each.events:,}</td><td class="{look}">{told}</td>{cells}</tr>'
        )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        '<p class="quiet">Over the whole period; in brackets what 95 % of windows of that size stay below without drift.</p>'
    )


def _alerts(findings: Findings) -> str:
    if not findings.alerts:
        return "<section><h2>Alerts</h2><p>There were none.</p></section>"
    looks = {"critical": "critical", "warning": "warning", "recovered": "good"}
    rows = "".join(
        f'<tr><td>{_time(alert.start)}</td><td class="{looks[alert.kind]}">{alert.kind}</td><td>{escape(alert.rule)}</td>'
        f"<td>{escape(alert.metric)}</td><td>{alert.value:.4g}</td><td>{escape(shown_p(alert.p_value))}</td>"
        f"<td>{escape(alert.segment)}</td><td>{alert.events:,}</td></tr>"
        for alert in findings.alerts[-MOST_ALERTS:]
    )
    more = len(findings.alerts) - MOST_ALERTS
    left = f"<p>{more:,} earlier ones are not listed.</p>" if more > 0 else ""
    head = "".join(f"<th>{cell}</th>" for cell in ("window", "", "rule", "metric", "value", "p", "segment", "events"))
    return f'<section><h2>Alerts</h2><div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{left}</section>'


def _reading(findings: Findings) -> str:
    largest = findings.baseline.largest_window
    return (
        "<section><h2>How to read this</h2><p>p is the share of windows of the same size, drawn from the baseline’s own events, that look as "
        "different from the rest of it: without drift, one window in twenty has p ≤ 0.05. PSI and JSD grow as windows get smaller, so "
        f"that no fixed value of theirs means drift; their bands do. Windows of more than {largest:,} events are judged as if they had as "
        "many, which is cautious.</p></section>"
    )


def _figure(chart: Chart, kind: str) -> str:
    return f'<figure class="{kind}">{chart.svg}</figure>'


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
