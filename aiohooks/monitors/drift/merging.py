"""Databases of several monitors become one."""

from collections.abc import Sequence
from pathlib import Path

from aiohooks.errors import SpecError
from aiohooks.monitors.drift.exchange import changes_since, read_changes
from aiohooks.monitors.drift.store import DriftStore


def merge_databases(target: Path, sources: Sequence[Path]) -> int:
    """Add the windows of databases to another; in any order, any number of times. Blocks.

    Alerts stay where they were given: a monitor that opens the target gives its own.

    Args:
        target: made if it is not there; no monitor may have it open.
        sources: of the same baseline; their monitors may have them open.

    Returns:
        How many windows are new or have changed.

    Raises:
        LoadError: a source is no such database, or is newer.
        SpecError: they are of different baselines, or a source is the target.
        DeliveryError: one cannot be read, or the target cannot be written.
    """
    changed = 0
    for source in sources:
        if source.absolute() == target.absolute():
            raise SpecError(f"{source}: this is the database to merge into; name others")
        store = DriftStore.read(source)
        try:
            changed += _merge(target, store, source)
        finally:
            store.close()
    return changed


def _merge(target: Path, store: DriftStore, source: Path) -> int:
    if not store.baseline:
        raise SpecError(f"{source}: this database is empty; no monitor has opened it yet")
    changed = 0
    into = DriftStore.open(target, store.baseline)
    try:
        if not into.has_baseline_file and (data := store.baseline_file()) is not None:
            into.keep_baseline_file(data)
        if not into.labels and store.labels:
            into.labels = store.labels
        for origin in store.origins():
            for bundle, _ in changes_since(store.database, store.baseline, 0, origin):
                changed += into.take_in(read_changes(bundle, store.baseline))
    finally:
        into.close()
    return changed
