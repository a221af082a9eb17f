"""aiohooks against geti-sdk on the same deployments: plain, and with hooks.

geti-sdk runs in an environment of its own, with the OpenVINO that it wants, loaded as its notebooks load it. It is idle
while aiohooks works, and the other way round.

Times with hooks include the wait until everything is written and sent, so both do all of the work. A hook of
geti-sdk's without threads acts inside ``infer``: it is compared with one action at once.
"""

import asyncio
import gc
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import alternation
import geti_folder
import models
import numpy as np
import options
import slow_server
import tables
from bench_inference import WORK
from geti_sdk_client import GetiSdk
from numpy.typing import NDArray
from slow_server import SlowServer
from tables import Row

from aiohooks import AlwaysTrigger, Deployment, FileSystemDataCollection, HttpRequestAction, PostInferenceHook, Rate

OURS, GETI = "aiohooks", "geti-sdk"
MODES = {"one by one": "infer", "at once": "infer_async", "streamed": "AsyncVideoProcessor"}
LIKE_THEIRS = {"one by one": "LATENCY", "at once": "THROUGHPUT", "streamed": "THROUGHPUT"}
"""What geti-sdk's notebooks load a model for; targets hold for the same hint."""
HINTS: dict[str, Sequence[str | None]] = {"one by one": ("LATENCY", None), "at once": (None,), "streamed": (None,)}
"""Of aiohooks: the same, and its default, which is for streams."""
EMPTY_TARGET = 0.5
REAL_TARGET = 0.833
HOOKED_TARGET = 1.0
HOOKED_MODELS = ("empty classifier", "conv net, VGA")
LEAST = 4
FRAMES = "frames.npy"
PLACE = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""For files: in memory where there is such a place, since disks are not compared."""
MISSING = """\
This benchmark runs geti-sdk in an environment of its own. `nox -s bench -- geti_sdk` makes one; or set GETI_SDK_PYTHON
to the Python interpreter of one that has geti-sdk==2.13.1."""

Settings = dict[str, str]
Bursts = tuple[alternation.Burst, alternation.Burst]


@dataclass(frozen=True)
class Setup:
    """Hooks that see every frame.

    Attributes:
        what: for tables.
        actions: one for each hook: ``files`` or ``requests``.
        threads: of each of geti-sdk's hooks, and actions at once of ours.
        limited: to one event in a second.
    """

    what: str
    actions: Sequence[str] = ()
    threads: int = 5
    limited: bool = False


SETUPS = (
    Setup("no hook"),
    Setup("files, inline", ["files"], threads=0),
    Setup("files, 5 threads", ["files"]),
    Setup("requests, inline", ["requests"], threads=0),
    Setup("requests, 5 threads", ["requests"]),
    Setup("files, 1/s", ["files"], limited=True),
    Setup("files and requests, 1/s", ["files", "requests"], limited=True),
)
LOSSY = (Setup("files, 5 threads", ["files"]), Setup("requests, 5 threads", ["requests"]))
"""What is only counted, on the detector: geti-sdk cannot write its predictions as JSON."""


@dataclass
class Goal:
    """Where one contender's hooks bring what they see.

    Attributes:
        folder: for files; emptied after each burst.
        server: for requests.
        path: of the requests.
        frames: how many it has inferred.
        stored: events whose files have all been there, and whole.
    """

    folder: Path
    server: SlowServer
    path: str
    frames: int = 0
    stored: int = 0

    @property
    def url(self) -> str:
        return self.server.url + self.path

    def watching(self, burst: alternation.Burst) -> alternation.Burst:
        async def watched(count: int) -> float:
            start = time.perf_counter()
            told = await burst(count)
            seconds = time.perf_counter() - start if told is None else told
            self.frames += count
            self.stored += whole_events(self.folder)
            for file in self.folder.glob("*/*"):
                file.unlink()
            return seconds

        return watched

    def arrived(self, to: str) -> int:
        return self.stored if to == "files" else self.server.answered(self.path)


@dataclass(frozen=True)
class Contest:
    """One model for both.

    Attributes:
        case: the model and its frames.
        folder: of its deployment; hooks write below it, too.
        path: of the deployment's .xml.
        geti: the other.
        server: what hooks send to.
        given: how long to measure.
        notes: what else there is to say.
    """

    case: models.Case
    folder: Path
    path: Path
    geti: GetiSdk
    server: SlowServer
    given: options.Options
    notes: list[str]

    async def plain(self, what: str, hint: str | None) -> Row:
        """Compare one way to infer."""
        mode = MODES[what]
        settings = await self.geti.open(self.folder, self.folder / FRAMES, mode, [])
        async with Deployment.load(self.path, performance_hint=hint) as deployment:
            bursts = WORK[what](deployment, self.case.frames), self.geti.burst
            target = EMPTY_TARGET if self.case.empty else REAL_TARGET
            row = await self.compare(what, deployment, mode, settings, bursts, target)
        if mode == "AsyncVideoProcessor":
            kept = self.geti.bursts
            self.note(f"{mode} kept the order of the frames in {kept[True]} of {kept.total()} bursts")
        return row

    async def hooked(self, setup: Setup, hint: str | None) -> Row:
        """Compare ``infer`` with hooks."""
        async with self.with_hooks(setup, hint) as (deployment, settings, bursts):
            return await self.compare(setup.what, deployment, "infer", settings, bursts, HOOKED_TARGET)

    async def lossy(self, setup: Setup) -> None:
        """See only what becomes of the frames."""
        async with self.with_hooks(setup, None) as (_, _, bursts):
            for burst in bursts:
                await burst(20)

    @asynccontextmanager
    async def with_hooks(self, setup: Setup, hint: str | None) -> AsyncIterator[tuple[Deployment, Settings, Bursts]]:
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            ours, its = (
                Goal(Path(scratch, name), self.server, f"/{Path(scratch).name}/{name}") for name in (OURS, GETI)
            )
            start = time.perf_counter()
            hooks = [geti_hook(setup, its, to) for to in setup.actions]
            settings = await self.geti.open(self.folder, self.folder / FRAMES, "infer", hooks)
            async with Deployment.load(self.path, performance_hint=hint) as deployment:
                for to in setup.actions:
                    deployment.add_hook(our_hook(setup, ours, to))
                burst = inferred_and_drained(deployment, self.case.frames)
                ran_with = deployment.describe().performance_hint
                yield deployment, settings, (ours.watching(burst), its.watching(self.geti.burst))
            seconds = time.perf_counter() - start
            for to in setup.actions:
                arrived = [
                    f"{goal.arrived(to)} of {goal.frames} frames from {goal.folder.name}" for goal in (ours, its)
                ]
                self.note(f"{setup.what}, {ran_with}, {seconds:.1f} s: {to} for {' and '.join(arrived)}")

    async def compare(
        self, what: str, deployment: Deployment, mode: str, settings: Settings, bursts: Bursts, target: float
    ) -> Row:
        model = deployment.describe()
        if settings["precision"] != model.precision:
            self.note(f"{GETI} {mode} computes in {settings['precision']}, {OURS} in {model.precision}")
        other = f"{GETI} {mode}, {settings['hint']}"
        contenders = dict(zip((OURS, other), bursts, strict=True))
        taken = await alternation.alternate(
            contenders, rounds=self.given.rounds, seconds=self.given.seconds, least=LEAST
        )
        names = {"what": what, "model": self.case.name, "hint": model.performance_hint, "slots": model.requests}
        is_alike = model.performance_hint == LIKE_THEIRS["one by one" if mode == "infer" else what]
        return tables.compare(taken, ours=OURS, other=other, target=target if is_alike else None, **names)

    def note(self, text: str) -> None:
        self.notes.append(f"{self.case.name}: {text}")


async def main() -> None:
    given = options.parse(__doc__)
    given = replace(given, seconds=0.05 if given.quick else 0.15)
    if not os.environ.get("GETI_SDK_PYTHON"):
        sys.exit(MISSING)
    plain: list[Row] = []
    hooked: list[Row] = []
    notes: list[str] = []
    gc.freeze()  # so that collecting garbage before each burst need not go through all that was imported
    with tempfile.TemporaryDirectory(dir=PLACE) as scratch, slow_server.running() as server:
        for number, case in enumerate(models.synthetic()):
            folder = Path(scratch, str(number))
            path = geti_folder.write(folder, case.source)
            np.save(folder / FRAMES, np.stack(case.frames))
            async with GetiSdk.started() as geti:
                contest = Contest(case, folder, path, geti, server, given, notes)
                plain += [await contest.plain(what, hint) for what in MODES for hint in HINTS[what]]
                if case.name in HOOKED_MODELS:
                    hints = HINTS["one by one"][: 1 if given.quick else None]
                    hooked += [await contest.hooked(setup, hint) for setup in SETUPS for hint in hints]
                else:
                    for setup in LOSSY:
                        await contest.lossy(setup)
    tables.show("aiohooks ↔ geti-sdk", plain)
    tables.show("aiohooks ↔ geti-sdk with hooks, until everything is written and sent", hooked)
    print("", *notes, sep="\n")
    tables.save("geti_sdk", given.json, [*plain, *hooked, {"notes": notes}])


def inferred_and_drained(deployment: Deployment, frames: Sequence[NDArray[np.uint8]]) -> alternation.Burst:
    names = (f"{number:06}" for number in itertools.count())

    async def burst(count: int) -> None:
        for index in range(count):
            await deployment.infer(frames[index % len(frames)], name=next(names))
        await deployment.drained()

    return burst


def our_hook(setup: Setup, goal: Goal, to: str) -> PostInferenceHook:
    action = {
        "files": FileSystemDataCollection(goal.folder),
        "requests": HttpRequestAction(goal.url, method="POST", include_prediction_data=True),
    }[to]
    rate = Rate(1) if setup.limited else None
    return PostInferenceHook(trigger=AlwaysTrigger(), action=action, max_concurrency=max(1, setup.threads), rate=rate)


def geti_hook(setup: Setup, goal: Goal, to: str) -> dict[str, Any]:
    action = {
        "files": {"FileSystemDataCollection": {"target_folder": str(goal.folder)}},
        "requests": {"HttpRequestAction": {"url": goal.url, "method": "POST", "include_prediction_data": True}},
    }[to]
    return {
        "trigger": {"AlwaysTrigger": {}},
        "action": action,
        "max_threads": setup.threads,
        "limit_action_rate": setup.limited,
        "max_frames_per_second": 1,
    }


def whole_events(folder: Path) -> int:
    """How many events have all of their files, none of them cut short."""
    return sum(is_whole(folder, image.stem) for image in (folder / "images").glob("*.png"))


def is_whole(folder: Path, stem: str) -> bool:
    try:
        json.loads((folder / "predictions" / f"{stem}.json").read_bytes())
        float((folder / "scores" / f"{stem}.txt").read_text())
        return (folder / "overlays" / f"{stem}.jpg").stat().st_size > 0
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    asyncio.run(main())
