"""What a drift monitor saw, for people: charts and a page."""

from aiohooks.monitors.drift.report.report import DriftReport

__all__ = ["DriftReport"]
