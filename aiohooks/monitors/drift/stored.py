"""What a drift monitor's file tells without the monitor, such as to a report."""

from pathlib import Path
from tempfile import TemporaryDirectory

from aiohooks.errors import LoadError
from aiohooks.monitors.drift.alert import DriftAlert
from aiohooks.monitors.drift.alert_book import AlertBook
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.store import DriftStore


def stored_baseline(store: DriftStore) -> DriftBaseline:
    """Return the baseline that the windows of a database are compared with. Blocks.

    Raises:
        LoadError: it is not there, or damaged.
    """
    data = store.baseline_file()
    if data is None:
        raise LoadError(f"{store.database.path}: there is no baseline in it; open it with a DriftMonitor once")
    with TemporaryDirectory(prefix="aiohooks-") as folder:
        path = Path(folder) / "baseline"
        path.write_bytes(data)
        return DriftBaseline.load(path)  # it is mapped, and so outlives its name


def baseline_in(database: Path) -> DriftBaseline:
    """Return the baseline that is kept in a database. Blocks; a monitor may be writing to it.

    Raises:
        LoadError: it is no such database, is newer, or there is no baseline in it.
        DeliveryError: it cannot be read.
    """
    store = DriftStore.read(database)
    try:
        return stored_baseline(store)
    finally:
        store.close()


def stored_alerts(store: DriftStore, since: float, until: float) -> list[DriftAlert]:
    """Return the alerts for windows that begin between these times, in seconds since the epoch. Blocks."""
    with store.database.reading():
        return list(AlertBook(store.database).alerts(since, until))
