"""The monitors that a command line attaches to models."""

import argparse
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio.to_thread

from aiohooks.cli.command import UsageError
from aiohooks.deployment import Deployment
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.monitor import DriftMonitor
from aiohooks.monitors.drift.stored import baseline_in
from aiohooks.monitors.ood.model import OODModel

DRIFT = "drift"
"""What a drift monitor is called unless its model is named."""

_MODEL = "of the one model, or of the model called NAME; may be repeated"


def add_monitor_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which monitors watch which model."""
    group = parser.add_argument_group("monitors")
    group.add_argument(
        "--ood",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help=f"OOD model, as `aiohooks ood fit` writes it: puts an OOD score on every prediction {_MODEL}",
    )
    group.add_argument(
        "--drift",
        action="append",
        default=[],
        metavar="[NAME=]DATABASE",
        help=f"database in which a drift monitor keeps what it sees {_MODEL}",
    )
    group.add_argument(
        "--baseline",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="baseline, as `aiohooks drift fit` writes it, for a new database; an existing one has its own",
    )


class Monitors:
    """Which monitors watch which model.

    Args:
        args: what `add_monitor_options` found.
        names: of the models.

    Raises:
        UsageError: a monitor is for no model, or it is not clear for which, or there is no baseline for it.
    """

    def __init__(self, args: argparse.Namespace, names: Sequence[str]) -> None:
        self._ood, self._drift, self._baselines = (
            _by_model(option, getattr(args, option), names) for option in ("ood", DRIFT, "baseline")
        )
        for model, (_, path) in self._drift.items():
            if not path.exists() and model not in self._baselines:
                raise UsageError(
                    f"--drift {path}: there is no such file; to begin it, say what the stream is compared with: "
                    "--baseline FILE, which `aiohooks drift fit` writes"
                )
        if unused := self._baselines.keys() - self._drift:
            raise UsageError(f"--baseline {self._baselines[min(unused)][1]}: goes with --drift, which is not there")

    def __contains__(self, model: object) -> bool:
        """Say whether a model is watched, so that it has to give features."""
        return model in self._ood or model in self._drift

    @asynccontextmanager
    async def attached(self, deployments: Mapping[str, Deployment]) -> AsyncIterator[None]:
        """Load the monitors, attach them, and keep them open in the block.

        Raises:
            LoadError: a file is something else, newer or damaged.
            SpecError: a database belongs to another baseline, or a model does not give what a monitor needs.
            DeliveryError: a database cannot be opened or written.
        """
        async with AsyncExitStack() as stack:
            for model, (_, path) in self._ood.items():
                deployments[model].attach(await anyio.to_thread.run_sync(OODModel.load, path))
            # After those, whose scores it keeps.
            for model, (name, path) in self._drift.items():
                baseline = await anyio.to_thread.run_sync(self._baseline, model, path)
                monitor = DriftMonitor(baseline, path, name=name or DRIFT)
                deployments[model].attach(await stack.enter_async_context(monitor))
            yield

    def _baseline(self, model: str, database: Path) -> DriftBaseline:
        if model in self._baselines:
            return DriftBaseline.load(self._baselines[model][1])
        return baseline_in(database)


def _by_model(option: str, given: Sequence[str], names: Sequence[str]) -> dict[str, tuple[str, Path]]:
    """Return, by model, the name as it was given, which may be empty, and the file."""
    found: dict[str, tuple[str, Path]] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or name not in names:
            if len(names) > 1 or (equals and not Path(text).exists()):
                known = " or ".join(f"{name}=" for name in names)
                raise UsageError(f"--{option} {text}: say for which model, {known} before the file")
            name, path = "", text
        model = name or names[0]
        if model in found:
            raise UsageError(f"--{option} is given twice for model {model}")
        found[model] = (name, Path(path))
    return found
