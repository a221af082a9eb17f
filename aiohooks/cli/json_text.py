"""Results for other programs."""

import json

import msgspec


def json_text(value: msgspec.Struct) -> str:
    """Return indented JSON in ASCII; what JSON has no form for, such as a path, becomes a string."""
    return json.dumps(msgspec.to_builtins(value, enc_hook=str), indent=2)
