"""``aiohooks drift``: fit a baseline, and tell from a monitor's database what became of a stream."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread

from aiohooks.cli.arguments import add_model_arguments, model_arguments, whole_number
from aiohooks.cli.command import Command, UsageError
from aiohooks.cli.json_text import json_text
from aiohooks.cli.log_lines import shown_logs
from aiohooks.cli.picture_source import picture_source
from aiohooks.cli.progress import say
from aiohooks.deployment import Deployment
from aiohooks.monitors.drift.baseline import DriftBaseline
from aiohooks.monitors.drift.bin import BINS
from aiohooks.monitors.drift.merging import merge_databases
from aiohooks.monitors.drift.report import DriftReport
from aiohooks.monitors.drift.report.details import alerts_of
from aiohooks.monitors.drift.report.findings import Finding, Findings
from aiohooks.monitors.drift.shown_p import shown_p
from aiohooks.text_table import printable, table

MOST_LISTED = 20
"""Windows that are listed, unless all are wanted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    fit = _add(actions, "fit", "learn what is usual, from pictures that the model was not trained with")
    add_model_arguments(fit)
    fit.set_defaults(features=True)
    fit.add_argument("sources", nargs="+", metavar="SOURCE", help="folders with their subfolders, pictures, videos")
    fit.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the baseline, such as baseline.drift"
    )
    fit.add_argument(
        "--held-out", metavar="SOURCE", help="other pictures to compare windows with; by default some are set aside"
    )
    fit.add_argument(
        "--training", metavar="SOURCE", help="pictures of the training, to recognise them among the others"
    )
    fit.add_argument(
        "--together",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="consecutive pictures that are alike, as the frames of a video are",
    )
    fit.add_argument(
        "--seed", type=whole_number(0), default=0, metavar="N", help="seed of all random choices (default: %(default)s)"
    )

    report = _add(actions, "report", "write a page with charts, alerts, and the pictures of every window")
    status = _add(actions, "status", "show how the latest windows differ from the baseline")
    for one in (report, status):
        one.add_argument("database", type=Path, metavar="DB", help="of a drift monitor, which may be at work")
        one.add_argument("--bin", choices=BINS, help="length of the windows; by default as short as is of use")
        one.add_argument(
            "--since", type=_time, metavar="TIME", help="only from this time on: 2026-01-31, or 2026-01-31T12:00Z"
        )
        one.add_argument("--until", type=_time, metavar="TIME", help="only before this time")
        one.add_argument("--of-model", metavar="VERSION", help="of this version of the model; by default of the latest")
        one.add_argument(
            "--labels", type=_names, default=[], metavar="NAMES", help="of the classes, separated by commas"
        )
    report.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the page, such as report.html"
    )
    report.add_argument("--title", default="", help="of the page")
    report.add_argument(
        "--map", choices=("pca", "umap"), default="pca", help="how the map is drawn (default: %(default)s)"
    )
    status.add_argument("--all", action="store_true", help=f"list all windows, not the latest {MOST_LISTED}")
    status.add_argument("--json", action="store_true", help="write what was found as JSON")

    merge = _add(actions, "merge", "add the windows of monitors of the same baseline to one database")
    merge.add_argument("target", type=Path, metavar="TARGET", help="the database to add to, made if it is not there")
    merge.add_argument(
        "databases", nargs="+", type=Path, metavar="DB", help="databases of monitors, which may be at work"
    )


async def run(args: argparse.Namespace) -> int:
    """Run the command."""
    with shown_logs(say):
        match args.action:
            case "fit":
                return await _fit(args)
            case "report":
                return await anyio.to_thread.run_sync(_report, args)
            case "status":
                return await anyio.to_thread.run_sync(_status, args)
            case _:
                return await anyio.to_thread.run_sync(_merge, args)


async def _fit(args: argparse.Namespace) -> int:
    held_out, training = (None if name is None else picture_source([name]) for name in (args.held_out, args.training))
    async with Deployment.load(**model_arguments(args), hooks=False) as deployment:
        baseline = await DriftBaseline.fit(
            deployment, picture_source(args.sources), held_out=held_out, training=training, progress=True,
            together=args.together, seed=args.seed,
        )  # fmt: skip
    await anyio.to_thread.run_sync(_save, baseline, args.output)
    rows = [
        ("baseline", str(args.output)),
        ("features", f"{baseline.width:,}"),
        ("labels", f"{baseline.classes:,}" if baseline.classes else "none"),
        ("compared with", f"{baseline.reference.count:,} events"),
        (
            "windows",
            f"{baseline.null.sizes[0]:,} to {baseline.largest_window:,} events; larger ones are judged as these",
        ),
    ]
    print("\n".join(table(rows)))
    return 0


def _report(args: argparse.Namespace) -> int:
    report = _read(args, projection=args.map)
    _save(report, args.output, title=args.title)
    found = report.findings
    print(
        f"report in {printable(str(args.output))}: {len(found.windows):,} windows by the {found.length}, {found.events:,} events, "
        f"{len(found.alerts):,} alerts"
    )
    return 0


def _status(args: argparse.Namespace) -> int:
    found = _read(args).findings
    shown = found.windows if args.all else found.windows[-MOST_LISTED:]
    if args.json:
        print(json_text(_told(found, shown)))
    else:
        print("\n".join(sheet(found, shown)))
    return 0


def _merge(args: argparse.Namespace) -> int:
    changed = merge_databases(args.target, args.databases)
    print(f"{changed:,} windows in {printable(str(args.target))} are new or have changed")
    return 0


def sheet(found: Findings, shown: tuple[Finding, ...]) -> list[str]:
    """Return what was found as lines."""
    head = [
        ("model", found.version),
        ("baseline", f"{found.baseline.reference.count:,} events"),
        ("period", f"{_shown(found.windows[0].start)} – {_shown(found.windows[-1].end)} UTC"),
        ("events", f"{found.events:,}, refused {found.refused:,}"),
        ("alerts", f"{sum(alert.kind != 'recovered' for alert in found.alerts):,}"),
    ]
    names = next(([one.name for one in window.decision.shown] for window in shown if window.decision.shown), [])
    rows = [(found.length, "events", "p", *(name.upper() for name in names), "")]
    for window in shown:
        values = [
            "–" if one.value is None or one.usual is None else f"{one.value:.3f} (usual {one.usual:.3f})"
            for one in window.decision.shown
        ] or ["–"] * len(names)
        p_value = window.decision.p_value
        alerts = sorted({alert.kind for alert in alerts_of(found.alerts, window)})
        rows.append(
            (
                _shown(window.start),
                f"{window.events:,}",
                shown_p(p_value),
                *values,
                ", ".join(alerts),
            )
        )
    return [*table(head), "", *table(rows, right=range(1, 3 + len(names)))]


def _told(found: Findings, shown: tuple[Finding, ...]) -> dict[str, Any]:
    return {
        "model": found.version,
        "bin": found.length,
        "events": found.events,
        "refused": found.refused,
        "windows": [
            {
                "start": window.start,
                "end": window.end,
                "events": window.events,
                "refused": window.refused,
                "p_value": window.decision.p_value,
                "measures": {
                    one.name: {"value": one.value, "p_value": one.p_value, "usual": one.usual}
                    for one in (*window.decision.measures, *window.decision.shown)
                },
            }
            for window in shown
        ],
        "alerts": found.alerts,
    }


def _read(args: argparse.Namespace, **more: Any) -> DriftReport:
    return DriftReport.read(
        args.database,
        bin=args.bin,
        since=args.since,
        until=args.until,
        version=args.of_model,
        labels=args.labels,
        **more,
    )


def _add(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str
) -> argparse.ArgumentParser:
    return actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a time such as 2026-01-31 or 2026-01-31T12:00Z, got {text!r}"
        ) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _shown(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _save(what: DriftBaseline | DriftReport, path: Path, **options: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        what.save(path, **options)
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error}") from error


COMMAND = Command("drift", "notice when a stream of pictures changes: fit, report, status, merge", add_arguments, run)
