"""Items of a spool as files for people and other programs."""

from pathlib import Path

import msgspec

from aiohooks.delivery.open_spool import StoredItem
from aiohooks.errors import DeliveryError


def export_item(folder: Path, stored: StoredItem) -> Path:
    """Write an item's payload, and what else is known of it as JSON beside it; return the path of the payload. Blocks.

    The names begin with the item's number, so that they sort in the order of acceptance.

    Args:
        folder: made if it is not there.
        stored: the item.

    Raises:
        DeliveryError: a file cannot be written.
    """
    item = stored.item
    payload = folder / f"{stored.number:016d}.payload"
    about = {"key": item.key, "source": item.source, "accepted_at": item.accepted_at, "dead": stored.dead}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        payload.write_bytes(item.payload)
        payload.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(about)) + b"\n")
    except OSError as error:
        raise DeliveryError(f"{folder}: an item cannot be exported: {error}") from error
    return payload
