"""OpenVINO's error messages, made readable."""

import re

_TRACE = re.compile(r"^(Exception from |Check '.*' failed at )\S.*$")


def reason(error: Exception) -> str:
    """Return what an error of OpenVINO says was wrong, without the places in its source that passed it on."""
    text = str(error).partition("\nAt:\n")[0]
    lines = [line.strip() for line in text.splitlines()]
    return "; ".join(line for line in lines if line and not _TRACE.match(line)) or type(error).__name__
