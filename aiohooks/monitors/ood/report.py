"""A page that tells how strange pictures are: one file, without scripts and without anything from elsewhere."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Literal, Protocol

import numpy as np

from aiohooks.monitors.ood.roc import Roc
from aiohooks.monitors.ood.screened import Screened, StrangePicture

BINS = 20

Kind = Literal["in", "out", "unknown"]


class Described(Protocol):
    """What is said of an OOD model."""

    width: int
    calibration_size: int
    nbytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Pictures that belong together.

    Attributes:
        title: for people.
        kind: whether they are in or out of distribution, as far as that is known.
        screened: their scores.
    """

    title: str
    kind: Kind
    screened: Screened


def report_page(title: str, model: Described, groups: Sequence[Group], *, at: datetime) -> str:
    """Return the page.

    Args:
        title: of the page.
        model: that scored the pictures.
        groups: at least one.
        at: when that was.
    """
    inside, outside = (
        np.concatenate([-group.screened.p_values for group in groups if group.kind == kind] or [np.empty(0)])
        for kind in ("in", "out")
    )
    roc = Roc.of(inside, outside) if len(inside) and len(outside) else None
    style = files("aiohooks.monitors.ood").joinpath("report.css").read_text("utf-8")
    strange = [(group, picture) for group in groups for picture in group.screened.strangest]
    strange.sort(key=lambda pair: pair[1].explanation.p_value)
    count = sum(len(group.screened.names) for group in groups)
    sections = [
        f"<header><h1>{_text(title)}</h1><p>{count:,} pictures, {at:%d %B %Y, %H:%M} UTC. The OOD model goes by "
        f"{model.width:,} features and was calibrated on {model.calibration_size:,} pictures.</p></header>",
        _tiles(groups, roc),
        "<section><h2>Scores</h2><p>0.5 is a p-value of 0.05: of pictures like the training data, one in twenty lies right of the line. "
        "Near 1, hardly any picture of the training data is as unusual.</p>"
        + "".join(_histogram(group) for group in groups)
        + "</section>",
    ]
    if roc is not None:
        sections.append(_roc(roc))
    sections.append(_table(groups))
    if strange:
        cards = "".join(_card(group, picture) for group, picture in strange)
        sections.append(f'<section><h2>The strangest pictures</h2><ul class="cards">{cards}</ul></section>')
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{_text(title)}</title><style>{style}</style></head>'
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _tiles(groups: Sequence[Group], roc: Roc | None) -> str:
    told = []
    for group in groups:
        flagged, count = int(group.screened.flagged.sum()), len(group.screened.names)
        least = group.screened.least_flaggable
        limit = f"; fewer than {least:,} could not be: calibrate on more pictures" if group.screened.is_blind else ""
        told.append((group.title, f"{flagged:,} of {count:,}", f"flagged as out of distribution{limit}"))
    if roc is not None:
        told.append(("AUROC", f"{roc.auroc:.3f}", "1 is perfect, 0.5 is chance"))
        told.append(("FPR95", f"{roc.fpr95:.1%}", "false alarms where 95 % are found"))
    tiles = (
        f'<li><span class="what">{_text(what)}</span><strong>{value}</strong><span class="note">{note}</span></li>'
        for what, value, note in told
    )
    return f'<ul class="tiles">{"".join(tiles)}</ul>'


def _histogram(group: Group) -> str:
    """Return one row of bars over 0–1; a bar tells its numbers when it is pointed at."""
    scores = group.screened.scores
    counts, edges = np.histogram(np.clip(scores, 0, 1), BINS, (0, 1))
    width, height, left, bottom = 640, 136, 52, 26
    plot = height - bottom - 8
    most = max(int(counts.max(initial=0)), 1)
    step = (width - left - 8) / BINS
    marks = [
        f'<line class="grid" x1="{left}" x2="{width - 8}" y1="8" y2="8"/><text class="tick" x="{left - 6}" y="12" text-anchor="end">'
        f'{most:,}</text><line class="axis" x1="{left}" x2="{width - 8}" y1="{8 + plot}" y2="{8 + plot}"/>'
    ]
    for i, n in enumerate(counts.tolist()):
        if n:
            tall = max(plot * n / most, 2)
            x, y = left + i * step + 1, 8 + plot - tall
            marks.append(
                f'<path class="bar {group.kind}" d="{_bar(x, y, step - 2, tall)}"><title>{n:,} pictures with a score of '
                f"{edges[i]:.2f} to {edges[i + 1]:.2f}</title></path>"
            )
    middle = left + BINS / 2 * step
    marks.append(f'<line class="threshold" x1="{middle}" x2="{middle}" y1="8" y2="{8 + plot}"/>')
    for value in (0, 0.25, 0.5, 0.75, 1):
        x = left + value * BINS * step
        marks.append(f'<text class="tick" x="{x}" y="{height - 6}" text-anchor="middle">{value:g}</text>')
    label = (
        f"Scores of {len(scores):,} pictures, {group.title}: median {np.median(scores):.2f}"
        if len(scores)
        else "No pictures"
    )
    return (
        f'<figure class="strip"><figcaption><span class="key {group.kind}"></span>{_text(group.title)} <span class="note">{len(scores):,} pictures</span>'
        f'</figcaption><svg viewBox="0 0 {width} {height}" role="img" aria-label="{_text(label)}">{"".join(marks)}</svg></figure>'
    )


def _bar(x: float, y: float, width: float, height: float) -> str:
    """Return the outline of a bar with round upper corners."""
    r = min(3.0, height, width / 2)
    return (
        f"M{x:.1f},{y + height:.1f}V{y + r:.1f}q0,-{r:.1f} {r:.1f},-{r:.1f}H{x + width - r:.1f}q{r:.1f},0 {r:.1f},{r:.1f}"
        f"V{y + height:.1f}Z"
    )


def _roc(roc: Roc) -> str:
    side, left, top = 300, 40, 8
    points = " ".join(
        f"{left + x * side:.1f},{top + (1 - y) * side:.1f}"
        for x, y in _thinned(list(zip(roc.false_alarms.tolist(), roc.found.tolist(), strict=True)))
    )
    ticks = "".join(
        f'<line class="grid" x1="{left}" x2="{left + side}" y1="{top + (1 - v) * side}" y2="{top + (1 - v) * side}"/>'
        f'<text class="tick" x="{left - 6}" y="{top + (1 - v) * side + 4}" text-anchor="end">{v:g}</text>'
        f'<text class="tick" x="{left + v * side}" y="{top + side + 16}" text-anchor="middle">{v:g}</text>'
        for v in (0, 0.25, 0.5, 0.75, 1)
    )
    found = ", ".join(f"{roc.found_at(rate):.1%} at {rate:.0%}" for rate in (0.01, 0.05, 0.1))
    return (
        "<section><h2>Found, and mistaken</h2>"
        f"<p>What of the pictures that are out of distribution a threshold finds, and at how many false alarms: {found}.</p>"
        f'<figure class="square"><svg viewBox="0 0 {left + side + 12} {top + side + 40}" role="img" aria-label="ROC curve, AUROC {roc.auroc:.3f}">'
        f'{ticks}<line class="chance" x1="{left}" y1="{top + side}" x2="{left + side}" y2="{top}"/><polyline class="roc" points="{points}"/>'
        f'<text class="tick" x="{left + side / 2}" y="{top + side + 34}" text-anchor="middle">share of false alarms</text>'
        f'<text class="tick" transform="translate(11 {top + side / 2}) rotate(-90)" text-anchor="middle">share found</text>'
        "</svg></figure></section>"
    )


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return a curve with as many points as a screen can show."""
    kept = points[:1]
    for point in points[1:-1]:
        if abs(point[0] - kept[-1][0]) + abs(point[1] - kept[-1][1]) > 1 / 300:
            kept.append(point)
    return [*kept, points[-1]]


def _table(groups: Sequence[Group]) -> str:
    names = {"in": "in distribution", "out": "out of distribution", "unknown": "not known"}
    rows = "".join(
        f"<tr><th>{_text(group.title)}</th><td>{names[group.kind]}</td><td>{len(screened.names):,}</td><td>{_share(screened, 0.05)}</td>"
        f"<td>{_share(screened, 0.01)}</td><td>{int(screened.flagged.sum()):,}</td><td>{screened.left_out:,}</td></tr>"
        for group in groups
        for screened in (group.screened,)
    )
    rate = groups[0].screened.false_discovery_rate
    return (
        '<section><h2>Numbers</h2><div class="wide"><table><thead><tr><th>pictures</th><th>are</th><th>count</th><th>p ≤ 0.05</th><th>p ≤ 0.01</th>'
        f'<th>flagged</th><th>left out</th></tr></thead><tbody>{rows}</tbody></table></div><p class="note">Flagged: out of distribution, '
        f"where at most {rate:.0%} of those flagged are expected to be mistaken. Left out: could not be read or inferred.</p></section>"
    )


def _share(screened: Screened, rate: float) -> str:
    return f"{float(np.mean(screened.p_values <= rate)):.1%}" if len(screened.p_values) else "–"


def _card(group: Group, picture: StrangePicture) -> str:
    why = picture.explanation
    near = ", ".join(_text(one.name or f"picture {one.index}") for one in why.neighbours[:2])
    data = base64.b64encode(picture.thumbnail).decode("ascii")
    sees = f"<br>seen as {_text(picture.label)}" if picture.label else ""
    says = f"{_text(why.strongest.name)} says most" if why.measures else ""
    return (
        f'<li><img alt="{_text(picture.name)}" loading="lazy" src="data:image/jpeg;base64,{data}"><div><strong>{why.score:.3f}</strong> '
        f'<span class="note">p {_p_value(why.p_value)}</span><br><span class="name">{_text(picture.name)}</span>'
        f'<span class="note"><br>{_text(group.title)}{sees}<br>{says}{f"<br>nearest: {near}" if near else ""}</span></div></li>'
    )


def _p_value(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}".replace("e-0", "e-")


def _text(text: str) -> str:
    return html.escape(text, quote=True)
