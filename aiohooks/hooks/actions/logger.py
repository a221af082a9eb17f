"""Where actions say what they did."""

import logging
from typing import Literal

LogLevel = Literal["debug", "info", "warning", "error", "critical"]

_logger = logging.getLogger("aiohooks.hooks")


def log(level: LogLevel, message: str, *args: object) -> None:
    """Write to the logger ``aiohooks.hooks``, as `logging.log` does."""
    _logger.log(logging.getLevelNamesMapping()[level.upper()], message, *args)
