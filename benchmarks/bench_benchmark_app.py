"""aiohooks against OpenVINO's own benchmark_app: pictures through the same graph, as fast as they go.

benchmark_app shows what the device can do: it fills its input tensors once, runs the same requests over and over and
looks at no output. aiohooks takes a new frame for every inference and makes a prediction of the outputs.

A graph for frames of any size resizes them more slowly than one for frames of one size, so both are measured. aiohooks
loads a model for one size where it is told to (``frame_size``).
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import alternation
import anyio.to_thread
import models
import openvino as ov
import options
import tables
from bench_inference import streamed
from tables import Row

from aiohooks import Deployment
from aiohooks.inference.model import Model
from aiohooks.inference.model_loading import core, load_model
from aiohooks.inference.wrapping import wrap

HINT = "THROUGHPUT"
TARGET = 1 / 0.97
QUICK = ("conv net, VGA", "EfficientNet-Lite0")
APP = "benchmark_app, {}"
OURS = "aiohooks, {}"
COMPARED = (
    ("one frame size", "one frame size"),
    ("any frame size", "any frame size"),
    ("any frame size", "one frame size"),
)
SETTINGS = ("NUM_STREAMS", "INFERENCE_PRECISION_HINT", "INFERENCE_NUM_THREADS")

PROGRAM = """
import json, sys
from openvino.tools.benchmark.main import main

for line in sys.stdin:
    sys.argv = ["benchmark_app", *json.loads(line)]
    main()
    sys.stdout.flush()
"""


class BenchmarkApp:
    """benchmark_app in a process of its own, which pays for its imports once."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, *arguments: str) -> dict[str, str]:
        """Run it once; returns all that it prints as ``name: value``."""
        commands, report = self._process.stdin, self._process.stdout
        assert commands is not None
        assert report is not None
        print(json.dumps(arguments), file=commands, flush=True)
        printed: dict[str, str] = {}
        for line in report:
            name, _, value = line.removeprefix("[ INFO ]").partition(":")
            printed[name.strip()] = value.strip()
            if "Throughput" in printed:
                return printed
        raise RuntimeError(f"benchmark_app {' '.join(arguments)} failed after {list(printed)[-5:]}")


async def main() -> None:
    given = options.parse(__doc__)
    given = replace(given, seconds=0.12 if given.quick else 0.25)
    rows: list[Row] = []
    for case in [*models.synthetic(), *await models.real()]:
        if case.name in QUICK or not (case.empty or given.quick):
            rows += await measure(case, given)
    tables.show("aiohooks, streamed ↔ benchmark_app", rows)
    tables.save("benchmark_app", given.json, rows)


async def measure(case: models.Case, given: options.Options) -> list[Row]:
    frames = [frame for frame in case.frames if frame.shape == case.frames[0].shape]
    height, width, _ = frames[0].shape
    sizes: dict[str, tuple[dict[str, Any], list[str]]] = {
        "one frame size": ({"frame_size": (height, width)}, []),
        "any frame size": ({}, ["-data_shape", f"[1,{height},{width},3]"]),
    }
    contenders: dict[str, alternation.Burst] = {}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        app = stack.enter_context(BenchmarkApp())
        for size, (known, shape) in sizes.items():
            wanted = case.options | known
            loaded = load_model(case.source, performance_hint=HINT, **wanted)
            slots = loaded.requests
            path = folder / f"{size}.xml"
            ov.save_model(graph(case.source, wanted), path, compress_to_fp16=False)
            arguments = ["-m", str(path), *shape, "-hint", HINT.lower(), "-nireq", str(slots)]
            print(settings(f"{case.name}, {size}", loaded.compiled, app.run(*arguments, "-niter", "8")), flush=True)
            deployment = await stack.enter_async_context(
                Deployment(case.name, partial(anyio.to_thread.run_sync, Model, loaded))
            )
            contenders[OURS.format(size)] = streamed(deployment, frames)
            contenders[APP.format(size)] = repeated(app, arguments)
        taken = await alternation.alternate(contenders, rounds=given.rounds, seconds=given.seconds)
    names = {"model": case.name, "hint": HINT, "slots": slots}
    return [
        tables.compare(taken, ours=OURS.format(our), other=APP.format(its), target=TARGET, what=our, **names)
        for our, its in COMPARED
    ]


def graph(source: Any, wanted: dict[str, Any]) -> ov.Model:
    """The model with its preprocessing, as aiohooks compiles it."""
    model = source.clone() if isinstance(source, ov.Model) else core().read_model(source)
    unset = {"model_type": None, "labels": None, "decoder": None, "task_type": None, "parameters": {}}
    return wrap(model, device="CPU", **unset | wanted).model


def repeated(app: BenchmarkApp, arguments: Sequence[str]) -> alternation.Burst:
    async def burst(count: int) -> float:
        printed = await anyio.to_thread.run_sync(app.run, *arguments, "-niter", str(count))
        return count / float(printed["Throughput"].removesuffix("FPS"))

    return burst


def settings(what: str, compiled: ov.CompiledModel, printed: dict[str, str]) -> str:
    """Say what both run with, and where they differ."""
    ours = {key: str(compiled.get_property(key)) for key in SETTINGS}
    shown = [
        f"{key} {ours[key]}"
        if ours[key] == printed[key]
        else f"{key} {ours[key]} here, {printed[key]} in benchmark_app"
        for key in SETTINGS
    ]
    return f"{what}: {', '.join(shown)}"


if __name__ == "__main__":
    asyncio.run(main())
