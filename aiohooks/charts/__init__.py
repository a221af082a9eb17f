"""Charts as SVG, for pages and notebooks: lines with bands, bars, points."""

from aiohooks.charts.chart import Chart
from aiohooks.charts.plot import Axis, Plot

__all__ = ["Axis", "Chart", "Plot"]
