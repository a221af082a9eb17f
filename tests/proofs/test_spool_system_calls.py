"""What a spool leaves when it is killed at any system call, or any of them fails. Needs strace."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest
from proofs.spool_process import DRAINED, WORKED_ON, item

from aiohooks.delivery.layout import item_name
from aiohooks.delivery.open_spool import OpenSpool
from aiohooks.delivery.spool import Spool

pytestmark = [pytest.mark.proof, pytest.mark.skipif(sys.platform != "linux", reason="strace is of Linux")]

PROGRAM = Path(__file__).with_name("spool_process.py")
CALLS = ("write", "fsync", "/^rename", "/^unlink")
AT_ONCE = 2


def everywhere(calls: tuple[str, ...], attempt: Callable[[str, int], bool]) -> int:
    """Try each call for the first time that it is made, the second, and so on until it is not; return how often that was."""
    points = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for call in calls:
            first, hits = 1, [True]
            while all(hits):
                times = range(first, first + AT_ONCE)
                hits = list(pool.map(attempt, [call] * AT_ONCE, times))
                points += sum(hits)
                first += AT_ONCE
    return points


def run(folder: Path, *arguments: str, strace: list[str]) -> subprocess.CompletedProcess[str]:
    assert shutil.which("strace"), "install strace (Debian: apt-get install strace)"
    # Not with --seccomp-bpf: it kills at the first call or not at all.
    command = ["strace", "-f", "-qq", *strace, sys.executable, "-B", str(PROGRAM), str(folder), *arguments]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)


def said(output: str, word: str) -> list[int]:
    return [int(line.split()[1]) for line in output.splitlines() if line.split()[0] == word]


class Left(NamedTuple):
    """What the next process finds.

    Attributes:
        held: numbers of items that wait or are dead, as often as they are there.
        broken: items that are not what was put, and files that were quarantined.
        rubbish: files where none should be.
    """

    held: list[int]
    broken: int
    rubbish: list[str]


def left_in(folder: Path) -> Left:
    async def look(store: OpenSpool) -> Left:
        stored = [one.item async for one in store.items()]
        lost = (await store.status()).lost
        broken = sum(one != item(int(one.key, 16)) for one in stored) + lost.get("corrupt", 0) + lost.get("missing", 0)
        return Left(
            sorted(int(one.key, 16) for one in stored), broken, [path.name for path in (folder / "tmp").iterdir()]
        )

    async def reopened() -> Left:
        async with Spool(str(folder)).open() as store:
            return await look(store)

    return anyio.run(reopened)


def violations(output: str, left: Left) -> list[str]:
    """Compare what a killed process said with what it left."""
    begun, accepted, acked = (set(said(output, word)) for word in ("puts", "accepted", "acked"))
    delivered = set(said(output, "delivers"))
    found = []
    if lost := accepted - delivered - set(left.held):
        found.append(f"lost: {lost}")
    if len(set(left.held)) < len(left.held):
        found.append(f"doubled: {left.held}")
    if again := acked & set(left.held):
        found.append(f"acknowledged, and there again: {again}")
    if len(unasked := set(left.held) - accepted) > 1 or not unasked <= begun:
        found.append(f"there, and not accepted: {unasked}")
    if left.broken:
        found.append(f"broken: {left.broken}")
    if left.rubbish:
        found.append(f"left behind: {left.rubbish}")
    return found


def kill_everywhere(folder: Path, mutant: str, calls: tuple[str, ...], *how: str) -> tuple[int, list[str]]:
    """Kill a new process at each of its system calls; return how many there are, and what broke."""
    found: list[str] = []

    def kill(call: str, time: int) -> bool:
        own = folder / f"{call.strip('/^')}-{time}"
        strace = ["-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={time}"]
        done = run(own, "--mutant", mutant, *how, strace=strace)
        assert "Traceback" not in done.stderr, done.stderr
        found.extend(f"{call} {time}: {what}" for what in violations(done.stdout, left_in(own)))
        return done.returncode != 0

    return everywhere(calls, kill), found


@pytest.mark.parametrize(("how", "least"), [((), 40), (("--noted",), 45)], ids=["", "noted"])
def test_killed_at_every_system_call(tmp_path: Path, how: tuple[str, ...], least: int) -> None:
    points, found = kill_everywhere(tmp_path, "none", CALLS, *how)
    print(f"killed at {points} system calls")
    assert found == []
    assert points >= least


def test_that_would_catch_writing_in_place(tmp_path: Path) -> None:
    points, found = kill_everywhere(tmp_path, "in-place", ("write", "fsync"))
    print(f"writing in place: {len(found)} violations at {points} system calls")
    assert any("broken" in what for what in found)


CALL = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+= (?!-1)")


def calls(trace: Path) -> Iterator[tuple[str, str]]:
    for line in trace.read_text().splitlines():
        if match := CALL.match(line):
            yield match[1], match[2]


def out_of_order(trace: Path, folder: Path) -> list[str]:
    """Say for which items the disk was not asked in time: file < rename < folder < accepted."""
    steps = list(calls(trace))
    found = []
    for number in WORKED_ON:
        name = item_name(number, 0)

        def when(call: str, text: str) -> int:
            return next((i for i, step in enumerate(steps) if step[0].startswith(call) and text in step[1]), -1)

        written = max(i for i, step in enumerate(steps) if step[0] == "write" and f"/{name}>" in step[1])
        forced = when("fsync", f"/{name}>")
        renamed = when("rename", f'/{name}"')
        accepted = when("write", f'"accepted {number}\\n"')
        folder_forced = [i for i, step in enumerate(steps) if step[0] == "fsync" and f"<{folder / 'ready'}>" in step[1]]
        assert min(written, renamed, accepted) >= 0, steps
        if not written < forced < renamed:
            found.append(f"item {number}: the file is not on the disk when it is renamed")
        if not any(renamed < i < accepted for i in folder_forced):
            found.append(f"item {number}: the name is not on the disk when the item is accepted")
    return found


@pytest.mark.parametrize(
    ("mutant", "expected"),
    [
        ("none", ""),
        ("no-file-fsync", "the file is not on the disk"),
        ("no-folder-fsync", "the name is not on the disk"),
    ],
)
def test_the_disk_has_an_item_before_it_is_accepted(tmp_path: Path, mutant: str, expected: str) -> None:
    trace = tmp_path / "trace"
    strace = ["-y", "-s", "200", "-o", str(trace), "-e", "trace=write,fsync,/^rename"]
    done = run(tmp_path / "spool", "--mutant", mutant, strace=strace)
    assert done.returncode == 0, done.stderr
    found = out_of_order(trace, tmp_path / "spool")
    if expected:
        assert len(found) == len(WORKED_ON)
        assert all(expected in what for what in found)
    else:
        assert found == []


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("full", ["block", "raise", "drop_newest", "drop_oldest"])
def test_any_call_may_fail(tmp_path: Path, full: str, error: str) -> None:
    """Let one call fail after the other that has to do with the accepting of an item: a loss that is told, or a wait."""

    def fail(call: str, time: int) -> bool:
        folder = tmp_path / f"{call.strip('/^')}-{time}"
        trace = tmp_path / f"{folder.name}.trace"
        paths = [folder / "ready", *(folder / "tmp" / item_name(number, 0) for number in DRAINED)]
        only = [word for path in paths for word in ("-P", str(path))]
        strace = ["-o", str(trace), "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={time}", *only]
        done = run(folder, "--full", full, "--drain", strace=strace)
        assert done.returncode == 0, done.stderr
        accepted, dropped, refused, drained = (
            said(done.stdout, word) for word in ("accepted", "dropped", "refused", "drained")
        )
        status = json.loads(done.stdout.splitlines()[-1].removeprefix("status "))
        lost = status["lost"]
        assert sorted([*accepted, *dropped, *refused]) == list(DRAINED)
        assert len(accepted) - lost.get("dropped_oldest", 0) == len(drained)
        assert len(dropped) == lost.get("write_failed", 0)
        assert set(drained) <= set(accepted)
        if full == "block":
            assert drained == list(DRAINED)
        elif full == "raise":
            assert len(refused) <= 1
        if full in ("block", "raise"):
            assert not lost
        assert status["nbytes"] == 0
        assert [path.name for path in folder.rglob("*.item")] == []
        return "(INJECTED)" in trace.read_text()

    points = everywhere(("write", "fsync", "/^rename"), fail)
    print(f"{error} at {points} system calls, {full}")
    assert points == 5 * len(DRAINED)  # two writes, two fsyncs and a rename each


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("how", [(), ("--noted",)], ids=["", "noted"])
def test_any_call_may_fail_on_the_whole_way(tmp_path: Path, how: tuple[str, ...], error: str) -> None:
    """Let one call fail after the other of all that a spool makes, from its first start to its end: no item is lost, none there twice."""
    found: list[str] = []

    def fail(call: str, time: int) -> bool:
        own = tmp_path / f"{call.strip('/^')}-{time}"
        trace = tmp_path / f"{own.name}.trace"
        strace = ["-o", str(trace), "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={time}"]
        done = run(own, *how, strace=strace)
        assert done.returncode == 0, done.stderr
        if "unusable" not in done.stdout:
            assert said(done.stdout, "accepted") == list(WORKED_ON)
            found.extend(f"{call} {time}: {what}" for what in violations(done.stdout, left_in(own)))
        return "(INJECTED)" in trace.read_text()

    points = everywhere(("fsync", "/^rename", "/^unlink"), fail)
    print(f"{error} at {points} system calls")
    assert found == []
    assert points >= 25
