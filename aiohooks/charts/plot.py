"""A plane with two axes that lines, bands, bars and points are drawn on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from aiohooks.charts.chart import Chart
from aiohooks.charts.ticks import linear_ticks, time_ticks
from aiohooks.errors import SpecError

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56a0d3")
"""Okabe and Ito's colours, told apart by people who are colour-blind; two are darker, to be seen on white (https://jfly.uni-koeln.de/color/)."""

_INK = "var(--chart-ink,#333)"
_GRID = "var(--chart-grid,#ddd)"
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 44, 34
_FONT = 12


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows.

    Attributes:
        low: its start; finite.
        high: its end, above ``low``.
        label: what it measures, with the unit.
        kind: ``linear``, or ``time`` for seconds since the epoch, labelled in UTC.

    Raises:
        SpecError: the ends are not finite, or not in this order.
    """

    low: float
    high: float
    label: str = ""
    kind: Literal["linear", "time"] = "linear"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise SpecError(f"an axis goes from a lower to a higher number, not from {self.low} to {self.high}")

    @classmethod
    def over(
        cls, *values: ArrayLike, label: str = "", kind: Literal["linear", "time"] = "linear", margin: float = 0.0
    ) -> Self:
        """Return an axis that shows all the values that are finite.

        Args:
            values: arrays of any shape.
            label: as of the class.
            kind: as of the class.
            margin: room at both ends, as a part of the values' range.
        """
        flat = np.concatenate([np.asarray(array, np.float64).ravel() for array in values] or [np.empty(0)])
        flat = flat[np.isfinite(flat)]
        low, high = (float(flat.min()), float(flat.max())) if flat.size else (0.0, 1.0)
        if high - low < 1e-12 * max(1.0, abs(high)):
            low, high = low - (0.5 if low else 0.0), high + (0.5 if low else 1.0)
        room = margin * (high - low)
        return cls(low - room, high + room, label, kind)


class Plot:
    """Draws on two axes; what is drawn first lies below. Text in it is escaped; what lies outside the axes is cut off.

    Args:
        title: above it.
        x: the axis to the right.
        y: the axis upwards.
        width: of the drawing in pixels, at least 160.
        height: of the drawing in pixels, at least 120.
        description: for those who cannot see it; by default the title.
    """

    def __init__(
        self, title: str, x: Axis, y: Axis, *, width: int = 480, height: int = 240, description: str = ""
    ) -> None:
        if width < 160 or height < 120:
            raise SpecError(f"a chart of {width}×{height} pixels is too small: at least 160×120")
        self._title, self._x, self._y = title, x, y
        self._width, self._height, self._description = width, height, description or title
        self._drawn: list[str] = []
        self._key: list[tuple[str, str]] = []

    def line(self, xs: ArrayLike, ys: ArrayLike, *, label: str = "", color: int = 0, dashed: bool = False) -> None:
        """Draw a line through points; it has a gap where a value is not finite.

        Args:
            xs: (N,).
            ys: (N,).
            label: in the key, if given.
            color: number of the colour.
            dashed: whether it has gaps.
        """
        paint = _color(color)
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        for run in self._runs(xs, ys):
            if len(run) == 1:
                self._drawn.append(f'<circle cx="{run[0][0]}" cy="{run[0][1]}" r="2" style="fill:{paint}"/>')
            else:
                path = "M" + "L".join(f"{a} {b}" for a, b in run)
                self._drawn.append(f'<path d="{path}" fill="none" style="stroke:{paint}" stroke-width="1.6"{dashes}/>')
        self._note(label, f'<path d="M0 -4h16" fill="none" style="stroke:{paint}" stroke-width="2.5"{dashes}/>')

    def band(self, xs: ArrayLike, low: ArrayLike, high: ArrayLike, *, label: str = "", color: int = 0) -> None:
        """Fill what lies between two lines; it has a gap where a value is not finite.

        Args:
            xs: (N,).
            low: (N,).
            high: (N,).
            label: in the key, if given.
            color: number of the colour.
        """
        paint = f'style="fill:{_color(color)}" fill-opacity="0.16"'
        bottoms, tops = self._places(xs, low), self._places(xs, high)
        pairs = [(a, b) if a is not None and b is not None else None for a, b in zip(bottoms, tops, strict=True)]
        for whole, group in groupby(pairs, lambda pair: pair is not None):
            if whole:
                run = [pair for pair in group if pair is not None]
                if len(run) == 1:  # a band of one bin has a width, too
                    run = [((x - 2, y), (x - 2, top)) for (x, y), (_, top) in run] + [
                        ((x + 2, y), (x + 2, top)) for (x, y), (_, top) in run
                    ]
                around = [top for _, top in run] + [bottom for bottom, _ in reversed(run)]
                self._drawn.append(f'<path d="M{"L".join(f"{a} {b}" for a, b in around)}Z" {paint}/>')
        self._note(label, f'<path d="M0 -9h16v10h-16Z" {paint}/>')

    def bars(self, edges: ArrayLike, heights: ArrayLike, *, label: str = "", color: int = 0) -> None:
        """Draw a bar from 0 between each two edges, half transparent, so that several histograms can share a plot.

        Args:
            edges: (N + 1,), rising.
            heights: (N,).
            label: in the key, if given.
            color: number of the colour.
        """
        paint = f'style="fill:{_color(color)}" fill-opacity="0.55"'
        places = [self._across(x) for x in _numbers(edges)]
        ground = self._up(0.0)
        for left, right, height in zip(places, places[1:], _numbers(heights), strict=False):
            if math.isfinite(height) and height:
                top = self._up(height)
                shape = f'x="{left}" y="{min(top, ground)}" width="{_short(max(right - left - 0.5, 0.5))}"'
                self._drawn.append(f'<rect {shape} height="{_short(abs(ground - top))}" {paint}/>')
        self._note(label, f'<path d="M0 -9h16v10h-16Z" {paint}/>')

    def points(
        self,
        xs: ArrayLike,
        ys: ArrayLike,
        *,
        label: str = "",
        color: int = 0,
        names: Sequence[str] | None = None,
        radius: float = 2.5,
    ) -> None:
        """Draw a dot at each place; those that are not finite are left out.

        Args:
            xs: (N,).
            ys: (N,).
            label: in the key, if given.
            color: number of the colour.
            names: (N,) texts, shown when the pointer rests on a dot.
            radius: in pixels.
        """
        paint = f'style="fill:{_color(color)}" fill-opacity="0.6"'
        for n, place in enumerate(self._places(xs, ys)):
            if place is not None:
                dot = f'<circle cx="{place[0]}" cy="{place[1]}" r="{radius:g}" {paint}'
                self._drawn.append(f"{dot}><title>{escape(names[n])}</title></circle>" if names else f"{dot}/>")
        self._note(label, f'<circle cx="8" cy="-4" r="4" {paint}/>')

    def level(self, y: float, *, label: str = "", color: int = 1) -> None:
        """Draw a dashed line across, such as a threshold."""
        self.line([self._x.low, self._x.high], [y, y], label=label, color=color, dashed=True)

    def marks(self, xs: ArrayLike, *, label: str = "", color: int = 1, names: Sequence[str] | None = None) -> None:
        """Draw a line upwards with a triangle on it at each place, such as an alert.

        Args:
            xs: (N,).
            label: in the key, if given.
            color: number of the colour.
            names: (N,) texts, shown when the pointer rests on a mark.
        """
        paint = _color(color)
        ground = self._height - _BOTTOM
        for n, x in enumerate(_numbers(xs)):
            if self._x.low <= x <= self._x.high:
                at = self._across(x)
                said = f"<title>{escape(names[n])}</title>" if names else ""
                self._drawn.append(
                    f'<g>{said}<path d="M{at} {ground}V{_TOP}" style="stroke:{paint}" stroke-opacity="0.45"/>'
                    f'<path d="M{_short(at - 5)} {_TOP}h10l-5 8Z" style="fill:{paint}"/></g>'
                )
        self._note(label, f'<path d="M3 -9h10l-5 9Z" style="fill:{paint}"/>')

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point is drawn, in pixels from the upper left corner."""
        return self._across(x), self._up(y)

    def chart(self) -> Chart:
        """Return what was drawn so far."""
        right, bottom = self._width - _RIGHT, self._height - _BOTTOM
        # A drawing within the drawing cuts off what lies outside, and needs no id that two charts of a page would share.
        inner = f"{_LEFT} {_TOP} {right - _LEFT} {bottom - _TOP}"
        x, y, width, height = inner.split()
        return Chart(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._width} {self._height}" role="img"'
            # Which part of it shows which part of the axis to the right: for scripts that find a place by a click.
            f' data-x="{_LEFT} {right} {self._x.low!r} {self._x.high!r}"'
            f' font-family="system-ui,sans-serif" font-size="{_FONT}" style="color:{_INK}">'
            f"<title>{escape(self._title)}</title><desc>{escape(self._description)}</desc>"
            f'<text x="4" y="15" style="fill:{_INK}" font-weight="600">{escape(self._title)}</text>'
            f"{''.join(self._keys())}{''.join(self._axes())}"
            f'<svg x="{x}" y="{y}" width="{width}" height="{height}" viewBox="{inner}">{"".join(self._drawn)}</svg></svg>'
        )

    def _keys(self) -> Iterator[str]:
        at = float(_LEFT)
        for label, sign in self._key:
            yield f'<g transform="translate({_short(at)} 34)">{sign}'
            yield f'<text x="20" style="fill:{_INK}" font-size="11">{escape(label)}</text></g>'
            at += 32 + 5.8 * len(label)

    def _axes(self) -> Iterator[str]:
        right, bottom = self._width - _RIGHT, self._height - _BOTTOM
        text = f'style="fill:{_INK}" font-size="11"'
        count = max(2, (bottom - _TOP) // 40)
        for at, label in linear_ticks(self._y.low, self._y.high, count):
            y = self._up(at)
            yield f'<path d="M{_LEFT} {y}H{right}" style="stroke:{_GRID}"/>'
            yield f'<text x="{_LEFT - 5}" y="{_short(y + 4)}" text-anchor="end" {text}>{escape(label)}</text>'
        ticks = time_ticks if self._x.kind == "time" else linear_ticks
        for at, label in ticks(self._x.low, self._x.high, max(2, (right - _LEFT) // 80)):
            x = self._across(at)
            yield f'<path d="M{x} {bottom}v4" style="stroke:{_INK}"/>'
            at_end = x + 3 * len(label) > self._width  # there is no room to its right
            anchor = f'x="{self._width - 2}" text-anchor="end"' if at_end else f'x="{x}" text-anchor="middle"'
            yield f'<text {anchor} y="{bottom + 16}" {text}>{escape(label)}</text>'
        yield f'<path d="M{_LEFT} {bottom}H{right}" style="stroke:{_INK}"/>'
        if self._x.label:
            yield f'<text x="{right}" y="{self._height - 4}" text-anchor="end" {text}>{escape(self._x.label)}</text>'
        if self._y.label:
            yield f'<text x="{right}" y="15" text-anchor="end" {text}>{escape(self._y.label)}</text>'

    def _note(self, label: str, sign: str) -> None:
        if label:
            self._key.append((label, sign))

    def _across(self, x: float) -> float:
        part = (x - self._x.low) / (self._x.high - self._x.low)
        return _short(_LEFT + part * (self._width - _LEFT - _RIGHT))

    def _up(self, y: float) -> float:
        part = (y - self._y.low) / (self._y.high - self._y.low)
        return _short(self._height - _BOTTOM - part * (self._height - _TOP - _BOTTOM))

    def _places(self, xs: ArrayLike, ys: ArrayLike) -> list[tuple[float, float] | None]:
        pairs = zip(_numbers(xs), _numbers(ys), strict=True)
        return [(self._across(x), self._up(y)) if math.isfinite(x) and math.isfinite(y) else None for x, y in pairs]

    def _runs(self, xs: ArrayLike, ys: ArrayLike) -> Iterator[list[tuple[float, float]]]:
        for there, group in groupby(self._places(xs, ys), lambda place: place is not None):
            if there:
                yield [place for place in group if place is not None]


def _numbers(values: ArrayLike) -> list[float]:
    return [float(value) for value in np.asarray(values, np.float64).ravel()]


def _color(number: int) -> str:
    number %= len(COLORS)
    return f"var(--chart-{number + 1},{COLORS[number]})"


def _short(pixels: float) -> float:
    # Far outside is outside enough, and no renderer minds it.
    return round(min(max(pixels, -9_999.0), 99_999.0), 1)
