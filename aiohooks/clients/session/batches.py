"""Pictures in groups that one request can hold."""

from collections.abc import Sequence
from typing import Any

from aiohooks.clients.session.pictures import is_id, is_url


def batches_of(pictures: Sequence[Any], most: int) -> list[list[Any]]:
    """Return pictures in their order, in groups of one kind: ids, what is uploaded, or a single URL.

    Args:
        pictures: whatever stands for one.
        most: pictures in a group.
    """
    batches: list[list[Any]] = []
    for picture in pictures:
        kind = _kind(picture)
        if batches and kind != "url" and kind == _kind(batches[-1][0]) and len(batches[-1]) < most:
            batches[-1].append(picture)
        else:
            batches.append([picture])
    return batches


def _kind(picture: object) -> str:
    return "url" if is_url(picture) else "id" if is_id(picture) else "upload"
