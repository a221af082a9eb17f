"""Results for other programs."""

import msgspec


def json_text(value: msgspec.Struct) -> str:
    """Return indented JSON; what JSON has no form for, such as a path, becomes a string."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()
