"""Results for other programs."""

import json
from typing import Any

import msgspec


def json_text(value: msgspec.Struct | dict[str, Any]) -> str:
    """Return indented JSON in ASCII; what JSON has no form for, such as a path, becomes a string."""
    return json.dumps(msgspec.to_builtins(value, enc_hook=str), indent=2)
