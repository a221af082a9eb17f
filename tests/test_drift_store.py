"""Windows in the database: they add up, become longer with age, and are exchanged in any order."""

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drift_store_fixtures import NOW, baseline, batch, example, open_store, summary, window
from hypothesis import given, settings
from hypothesis import strategies as st

from aiohooks.errors import DeliveryError, LoadError, SpecError
from aiohooks.monitors.drift.bin import BINS, start_of
from aiohooks.monitors.drift.event import EventBatch
from aiohooks.monitors.drift.exchange import changes_since, read_changes
from aiohooks.monitors.drift.kept_events import KeptEvents, side_by_side
from aiohooks.monitors.drift.retention import DriftRetention
from aiohooks.monitors.drift.store import DriftStore
from aiohooks.monitors.drift.summary import merge
from aiohooks.monitors.drift.window import Window

HOUR = start_of(NOW, "hour")
DAY = start_of(NOW, "day")
IN_MEMORY = Path(":memory:")


def sums(windows: list[Window]) -> list[tuple[Any, ...]]:
    return [
        (each.key, each.events, each.summary.sums.tolist(), each.refused, each.problems, each.truth) for each in windows
    ]


def test_windows_add_up(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a" / "drift.db")
    one = window(
        HOUR, 3, seed=1, refused=2, problems=Counter({"features: missing": 2}), truth=Counter({("cat", "dog"): 1})
    )
    two = window(
        HOUR, 4, seed=2, problems=Counter({"features: missing": 1, "id: wrong type": 1}), examples=(example(0.5),)
    )
    store.add([one])
    store.add([two, window(HOUR + 60, 1), window(HOUR, 1, segment="left")])
    first, left, later = store.windows("minute", examples=True)
    assert first.summary == summary(3, seed=1) + summary(4, seed=2)
    assert (first.refused, first.examples) == (2, (example(0.5),))
    assert first.problems == {"features: missing": 3, "id: wrong type": 1}
    assert first.truth == {("cat", "dog"): 1}
    assert (left.key.segment, later.key.start) == ("left", HOUR + 60)
    assert store.keys() == (["v"], ["", "left"])
    store.close()
    again = DriftStore.read(tmp_path / "a" / "drift.db")
    assert [each.events for each in again.windows("hour")] == [8, 1]
    assert [each.events for each in again.windows("hour", together=True)] == [9]
    assert [each.events for each in again.windows("minute", segment="left")] == [1]
    assert [each.events for each in again.windows("minute", HOUR + 60)] == [1]
    assert [each.events for each in again.windows("minute", until=HOUR)] == []
    again.close()


def test_a_window_keeps_its_best_examples() -> None:
    store = open_store(IN_MEMORY)
    for i in range(30):
        store.add([window(HOUR + 60 * (i % 2), examples=(example(i / 30, i),))])
    minute, _ = store.windows("minute", examples=True)
    assert [each.key for each in minute.examples] == [28 / 30, 26 / 30, 24 / 30, 22 / 30]
    (hour,) = store.windows("hour", examples=True)
    assert [each.time for each in hour.examples] == [29, 28, 27, 26, 25, 24, 23, 22]
    store.close()


def test_ids_are_remembered_within_the_horizon_with_the_events() -> None:
    store = open_store(IN_MEMORY)
    store.add([window(HOUR)], places=dict.fromkeys(range(10)), horizon=10)
    assert set(store.known(list(range(-600, 600)))) == set(range(10))
    store.add([window(HOUR)], places=dict.fromkeys(range(10, 14)), horizon=10)
    assert set(store.known(list(range(20)))) == set(range(4, 14))
    store.add([window(HOUR)], places={5: None}, horizon=10)
    assert set(store.known(list(range(20)))) == {5} | set(range(6, 14)) - {4}
    store.close()


def test_with_age_minutes_become_hours_and_days_and_weeks() -> None:
    store = open_store(IN_MEMORY)
    rng = random.Random(0)
    given_windows = [
        window(start_of(NOW - rng.uniform(0, 400 * 86400), "minute"), examples=(example(rng.random()),))
        for _ in range(300)
    ]
    store.add(given_windows)
    before = {length: sums(list(store.windows(length))) for length in BINS}
    retention = DriftRetention(minutes=86400, hours=7 * 86400, days=100 * 86400)
    assert not store.tidy(NOW, retention)
    kept = list(store.windows("minute", examples=True))
    assert {each.key.length for each in kept} == set(BINS)
    assert merge(each.summary for each in kept) == merge(each.summary for each in given_windows)
    assert sums(list(store.windows("week"))) == before["week"]
    edge = start_of(NOW - 100 * 86400, "week")
    assert sums(list(store.windows("day", edge))) == [each for each in before["day"] if each[0].start >= edge]
    assert max(len(each.examples) for each in kept) > 4
    revision = store.database.value("SELECT value FROM about WHERE name = 'revision'")
    assert not store.tidy(NOW, retention)
    assert store.database.value("SELECT value FROM about WHERE name = 'revision'") == revision, "nothing was left to do"
    assert not store.tidy(NOW, DriftRetention(minutes=0, hours=0, days=0, weeks=200 * 86400))
    assert min(each.key.start for each in store.windows("week")) == start_of(NOW - 200 * 86400, "week")
    store.close()


def test_late_events_of_folded_windows_count() -> None:
    store = open_store(IN_MEMORY)
    store.add([window(HOUR - 86400, 3, seed=1)])
    retention = DriftRetention(minutes=3600)
    store.tidy(NOW, retention)
    store.add([window(HOUR - 86400, 4, seed=2)])
    store.tidy(NOW, retention)
    (hour,) = store.windows("minute")
    assert (hour.key.length, hour.summary) == ("hour", summary(3, seed=1) + summary(4, seed=2))
    store.close()


def test_the_file_stays_as_small_as_asked_for(tmp_path: Path) -> None:
    store = open_store(tmp_path / "drift.db")
    retention = DriftRetention(minutes=1e9, hours=1e9, days=1e9, max_bytes=1_000_000)
    picture = example(0.5).__class__(0.5, 0.0, bytes(3000))
    for day in range(10):
        store.add(
            [window(DAY - day * 86400 + 60 * minute, examples=(picture,), seed=0) for minute in range(0, 1440, 20)]
        )
    store.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert (tmp_path / "drift.db").stat().st_size > 2_000_000
    while store.tidy(NOW, retention):
        pass
    assert store.database.nbytes <= 1_000_000
    store.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert (tmp_path / "drift.db").stat().st_size <= 1_000_000
    kept = list(store.windows("minute"))
    assert sum(each.events for each in kept) == 720, "longer windows, and no event less"
    assert kept[-1].key.length in ("minute", "hour"), "the latest ones stay short"
    while store.tidy(NOW + 400 * 86400, DriftRetention(max_bytes=1_000_000)):
        pass
    store.close()


def test_kept_events_are_forgotten_first(tmp_path: Path) -> None:
    store = open_store(tmp_path / "drift.db")
    for i in range(6):
        minute = window(HOUR - 3600 * i)
        events = EventBatch(np.array([HOUR - 3600.0 * i]), np.full((1, 200_000), i, np.float32))
        store.add([minute], kept=[KeptEvents.of(minute.key, events, np.array([0]))])
    assert [each.features[0, 0] for each in store.kept(0, 1e12)] == [5, 4, 3, 2, 1, 0]
    while store.tidy(NOW, DriftRetention(events=3600 * 4, max_bytes=1_000_000)):
        pass
    assert [each.features[0, 0] for each in store.kept(0, 1e12)] == [1, 0]
    assert len(list(store.windows("minute"))) == 6
    store.close()


def test_kept_events_are_as_they_came() -> None:
    store = open_store(IN_MEMORY)
    numbers = {"brightness": np.array([0.5, np.nan])}
    plain = batch([HOUR, HOUR + 1])
    full = batch([HOUR + 60, HOUR + 61], probabilities=np.array([[0.5, 0.25], [0, 1]], np.float32), numbers=numbers)
    for i, one in enumerate((plain, full)):
        minute = window(HOUR + 60 * i)
        store.add([minute], kept=[KeptEvents.of(minute.key, one, np.array([1, 0]))])
    kept = list(store.kept(0, 1e12))
    assert [one.times.tolist() for one in kept] == [[HOUR + 1, HOUR], [HOUR + 61, HOUR + 60]]
    features, probabilities, found = side_by_side(kept)
    assert np.allclose(features[:2], plain.features[::-1], rtol=1e-3)
    assert probabilities is not None
    assert np.array_equal(probabilities, [[np.nan, np.nan]] * 2 + [[0, 1], [0.5, 0.25]], equal_nan=True)
    assert np.array_equal(found["brightness"], [np.nan, np.nan, np.nan, 0.5], equal_nan=True)
    large = KeptEvents.of(kept[0].key, EventBatch(np.zeros(1), np.full((1, 1), 1e9, np.float32)), np.array([0]))
    assert np.isfinite(large.features).all()
    store.close()


def test_a_full_disk_adds_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path / "drift.db")
    store.add([window(HOUR, 3)], places={1: None}, horizon=9)
    pages = store.database.value("PRAGMA page_count")
    store.database.connection.execute(f"PRAGMA max_page_count = {pages}")
    big = window(HOUR + 60, examples=(example(0.5).__class__(0.5, 0.0, bytes(50_000)),))
    with pytest.raises(DeliveryError, match=r"drift\.db: database or disk is full"):
        store.add([window(HOUR, 1), big], places={2: None}, horizon=9)
    assert [each.events for each in store.windows("minute")] == [3]
    assert store.known([1, 2]) == {1: None}
    store.database.connection.execute("PRAGMA max_page_count = 100000")
    store.add([window(HOUR, 1), big], places={2: None}, horizon=9)
    assert [each.events for each in store.windows("minute")] == [4, 1]
    store.close()


def test_what_fails_halfway_adds_nothing() -> None:
    store = open_store(IN_MEMORY)

    def windows() -> Iterator[Window]:
        yield window(HOUR)
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        store.add(windows())
    assert list(store.windows("minute")) == []
    store.add([window(HOUR)])
    assert len(list(store.windows("minute"))) == 1
    store.close()


def test_what_is_no_such_database(tmp_path: Path) -> None:
    path = tmp_path / "drift.db"
    with pytest.raises(LoadError, match="there is no such file"):
        DriftStore.read(path)
    path.write_bytes(b"something else " * 100)
    with pytest.raises(LoadError, match="not a database, or it is damaged"):
        open_store(path)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t(x)")
    other.close()
    with pytest.raises(LoadError, match="not the database of a drift monitor"):
        open_store(path)
    path.unlink()
    store = open_store(path)
    store.database.connection.execute("PRAGMA user_version = 2")
    store.close()
    for opening in (open_store, DriftStore.read):
        with pytest.raises(LoadError, match="a newer aiohooks wrote this database"):
            opening(path)
    path.unlink()
    open_store(path).close()
    with pytest.raises(SpecError, match=f"compared with another baseline .{baseline().identity.hex()}, not 3131"):
        DriftStore.open(path, b"1" * 16)
    with pytest.raises(DeliveryError, match="cannot be opened"):
        open_store(path / "below")


# exchange ------------------------------------------------------------------------------------------------------


def exported(store: DriftStore, since: int = 0) -> list[tuple[bytes, int]]:
    return list(changes_since(store.database, store.baseline, since, store.origin))


def take(store: DriftStore, data: bytes) -> int:
    return store.take_in(read_changes(data, store.baseline))


def test_any_split_merged_in_any_order_any_number_of_times_is_the_whole() -> None:
    events = [(start_of(NOW - hours * 3600, "minute"), seed) for seed, hours in enumerate(range(0, 200, 11))]

    @settings(max_examples=10, deadline=None)
    @given(st.randoms(use_true_random=False), st.sampled_from([1, 2, 5, 16]))
    def check(rng: random.Random, monitors: int) -> None:
        whole = open_store(IN_MEMORY)
        whole.add([window(start, seed=seed, examples=(example(seed / 100, start),)) for start, seed in events])
        stores = [open_store(IN_MEMORY) for _ in range(monitors)]
        bundles = []
        for start, seed in rng.sample(events, len(events)):
            store = rng.choice(stores)
            store.add([window(start, seed=seed, examples=(example(seed / 100, start),))])
            if rng.random() < 0.3:
                store.tidy(NOW, DriftRetention(minutes=rng.choice([3600, 86400]), hours=86400 * 3))
            if rng.random() < 0.5:
                bundles += exported(store)
        bundles += [bundle for store in stores[1:] for bundle in exported(store)]
        target = stores[0]
        for data, _ in rng.sample([*bundles, *bundles[:3]], len(bundles) + len(bundles[:3])):
            take(target, data)
        for length in ("day", "week"):
            mine, theirs = (list(each.windows(length, examples=True)) for each in (target, whole))
            assert sums(mine) == sums(theirs)
            assert [each.examples for each in mine] == [each.examples for each in theirs]
            for one, other in zip(mine, theirs, strict=True):
                assert baseline().decide(one.summary) == baseline().decide(other.summary)
        for store in (whole, *stores):
            store.close()

    check()


def test_only_what_has_changed_since() -> None:
    store, other = open_store(IN_MEMORY), open_store(IN_MEMORY)
    store.add([window(HOUR, 2)])
    ((first, revision),) = exported(store)
    store.add([window(HOUR, 3, seed=9), window(HOUR + 60, 1)])
    ((second, _),) = exported(store, revision)
    assert take(other, second) == 2
    assert take(other, first) == 0, "it is older"
    assert sums(list(other.windows("minute"))) == sums(list(store.windows("minute")))
    assert exported(other) == [], "only the origin exports"
    assert take(store, second) == 0, "its own"
    store.close()
    other.close()


def test_a_window_that_was_folded_away_long_ago_does_not_come_back() -> None:
    store, other = open_store(IN_MEMORY), open_store(IN_MEMORY)
    store.add([window(HOUR, 2)])
    old = exported(store)
    later = NOW + 50 * 86400
    store.tidy(later, DriftRetention())
    for data, _ in exported(store):
        take(other, data)
    other.tidy(later, DriftRetention())
    for data, _ in old:
        take(other, data)
    assert [(each.key.length, each.events) for each in other.windows("minute")] == [("day", 2)]
    store.close()
    other.close()


def test_many_changes_come_in_bundles() -> None:
    store, other = open_store(IN_MEMORY), open_store(IN_MEMORY)
    picture = example(0.5).__class__(0.5, 0.0, random.Random(0).randbytes(60_000))
    store.add([window(HOUR + 60 * i, examples=(picture,)) for i in range(20)])
    bundles = exported(store)
    assert len(bundles) == 3
    assert max(len(data) for data, _ in bundles) < 1024 * 1024
    assert exported(store, bundles[0][1]) == bundles[1:]
    assert sum(take(other, data) for data, _ in bundles) == 20
    store.close()
    other.close()


def test_bytes_that_are_no_changes() -> None:
    store = open_store(IN_MEMORY)
    store.add([window(HOUR, 2)])
    ((data, _),) = exported(store)
    mine = baseline().identity
    for bad, message in (
        (b"", "0 bytes are not changes"),
        (b"x" * 40, "40 bytes are not changes"),
        (data[:6] + b"\x09" + data[7:], "a newer aiohooks"),
        (data[:-1], "damaged"),
        (data[:-1] + bytes([data[-1] ^ 1]), "damaged"),
    ):
        with pytest.raises(LoadError, match=message):
            read_changes(bad, mine)
    with pytest.raises(SpecError, match="belong to the baseline"):
        read_changes(data, b"1" * 16)
    store.close()


@given(st.binary(max_size=200))
def test_forged_changes_are_refused(body: bytes) -> None:
    import zlib

    with pytest.raises(LoadError):
        read_changes(b"AHDRFX\x01\x00" + zlib.crc32(body).to_bytes(4, "little") + body, baseline().identity)


def test_what_is_folded_and_tidied_before_it_is_exported_again_counts_once() -> None:
    ages = [hours * 3600 for hours in (1, 30, 60, 24 * 40, 24 * 40 + 1, 24 * 500)]

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.sampled_from(["add", "export", "tidy"]), max_size=8), st.randoms(use_true_random=False))
    def check(steps: list[str], rng: random.Random) -> None:
        store, hub = open_store(IN_MEMORY), open_store(IN_MEMORY)
        bundles, added, now = [], 0, NOW
        for each in ["add", "export", *steps, "tidy", "tidy", "export"]:
            if each == "add":
                store.add([window(start_of(now - rng.choice(ages), "minute")) for _ in range(5)])
                added += 5
            elif each == "export":
                bundles += exported(store)
            else:
                now += rng.choice([60, 86400, 40 * 86400])
                store.tidy(now, DriftRetention(minutes=86400 * 2))
        for data, _ in rng.sample(bundles, len(bundles)):
            take(hub, data)
        assert sum(each.events for each in hub.windows("week")) == added
        assert sums(list(hub.windows("week"))) == sums(list(store.windows("week")))
        store.close()
        hub.close()

    check()


def test_what_came_from_others_is_forgotten_with_age_and_size() -> None:
    store, hub = open_store(IN_MEMORY), open_store(IN_MEMORY)
    picture = example(0.5).__class__(0.5, 0.0, bytes(60_000))
    for week in range(10):
        store.add([window(DAY - week * 7 * 86400 + 3600 * hour, examples=(picture,), seed=0) for hour in range(4)])
    for data, _ in exported(store):
        take(hub, data)
    while hub.tidy(NOW, DriftRetention(weeks=8 * 7 * 86400)):
        pass
    assert sum(each.events for each in hub.windows("week")) == 36
    while hub.tidy(NOW, DriftRetention(max_bytes=1_000_000)):
        pass
    assert hub.database.nbytes <= 1_000_000
    kept = list(hub.windows("week"))
    assert kept[-1].key.start == start_of(NOW, "week")
    store.close()
    hub.close()


def test_ids_are_forgotten_before_windows(tmp_path: Path) -> None:
    store = open_store(tmp_path / "drift.db")
    store.add(
        [window(DAY - 400 * 86400 - day * 7 * 86400) for day in range(3)],
        places=dict.fromkeys(range(60_000)), horizon=60_000,
    )  # fmt: skip
    assert store.database.nbytes > 1_000_000
    while store.tidy(NOW, DriftRetention(max_bytes=1_000_000)):
        pass
    assert sum(each.events for each in store.windows("week")) == 3
    store.close()


def test_old_alerts_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiohooks.monitors.drift.store.MOST_ALERTS", 5)
    store = open_store(IN_MEMORY)
    connection = store.database.connection
    connection.executemany(
        "INSERT INTO alerts(rule, start, is_new, alert) VALUES('r', ?, ?, x'')", [(i, i < 2) for i in range(20)]
    )
    store.tidy(NOW, DriftRetention())
    assert [each for (each,) in connection.execute("SELECT start FROM alerts ORDER BY id")] == [0, 1, *range(15, 20)]
    store.close()
