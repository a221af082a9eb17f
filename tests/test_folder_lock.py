"""One owner per folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aiohooks.delivery.folder_lock import FolderLock, read_owner
from aiohooks.errors import DeliveryError

HOLD = """
import sys, signal
from pathlib import Path
from aiohooks.delivery.folder_lock import FolderLock
FolderLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
signal.pause()
"""


def test_the_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(
        DeliveryError, match=rf"{tmp_path}: it is in use by process {os.getpid()} on .* UTC\), and a spool"
    ):
        second.acquire()
    second.release()
    first.release()
    assert read_owner(tmp_path / "lock") is None
    second.acquire()
    second.release()


def test_the_lock_of_a_process_that_died_is_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        lock = FolderLock(tmp_path / "lock")
        with pytest.raises(DeliveryError, match=f"process {other.pid} on"):
            lock.acquire()
        other.send_signal(signal.SIGKILL)
        other.wait()
    owner = read_owner(tmp_path / "lock")
    assert owner is not None
    assert owner.pid == other.pid
    lock.acquire()
    lock.release()


def test_an_owner_that_cannot_be_read_is_another_process(tmp_path: Path) -> None:
    held, lock = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    held.acquire()
    (tmp_path / "lock").write_bytes(b"\xff{")
    with pytest.raises(DeliveryError, match="in use by another process"):
        lock.acquire()
    held.release()
