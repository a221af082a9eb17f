"""``aiohooks ood``: fit a model of what is normal, score pictures with it, and report on them."""

import argparse
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread

from aiohooks.atomic_file import write_atomically
from aiohooks.cli.arguments import add_model_arguments, model_arguments, whole_number
from aiohooks.cli.command import Command, UsageError
from aiohooks.cli.json_text import json_text
from aiohooks.cli.log_lines import shown_logs
from aiohooks.cli.picture_source import picture_source
from aiohooks.cli.progress import say
from aiohooks.clients.geti import GetiClient
from aiohooks.deployment import Deployment
from aiohooks.frame import Frame
from aiohooks.monitors.ood.corruptions import CORRUPTIONS
from aiohooks.monitors.ood.model import OODModel
from aiohooks.monitors.ood.report import Group, Kind, report_page
from aiohooks.monitors.ood.screened import Screened
from aiohooks.sources import geti_dataset
from aiohooks.text_table import printable, table

MOST_LISTED = 20
"""Pictures that are listed, unless all are wanted."""

_SET_ASIDE = " set aside: rates hold only if the network was not trained on them (--calibration)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    fit = _add(actions, "fit", "learn what is normal, from pictures like the training data")
    sources = fit.add_argument(
        "sources", nargs="+", default=[], metavar="SOURCE", help="folders with their subfolders, pictures, videos"
    )
    sources.required = False  # nargs="*" would find none where an option stands between MODEL and them
    geti = fit.add_argument_group(
        "Intel Geti", "in place of SOURCE; server and token come from GETI_HOST and GETI_TOKEN"
    )
    geti.add_argument(
        "--geti-project", metavar="PROJECT", help="fit on its annotated pictures; their labels are the classes"
    )
    geti.add_argument(
        "--geti-dataset", metavar="DATASET", help="of these (default: the one that the project trains with)"
    )
    geti.add_argument("--geti-calibration", metavar="DATASET", help="calibrate on the annotated pictures of this one")
    fit.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the OOD model, such as model.ood"
    )
    fit.add_argument(
        "--calibration", metavar="SOURCE", help="other normal pictures to calibrate on; by default some are set aside"
    )
    fit.add_argument("--ood", metavar="SOURCE", help="pictures that are out of distribution, if there are some")
    fit.add_argument(
        "--corruptions",
        nargs="?",
        const=",".join(CORRUPTIONS),
        metavar="NAMES",
        help="make such pictures of normal ones: all of cut_out,blur,noise unless some are named",
    )
    fit.add_argument(
        "--max-bank",
        type=whole_number(1),
        metavar="N",
        help="training pictures to look for neighbours in (default: as many as cost little beside the network)",
    )
    score = _add(actions, "score", "score pictures and tell which are out of distribution")
    report = _add(actions, "report", "write a page with the scores, how well they separate, and the strangest pictures")
    for one in (score, report):
        one.add_argument("ood_model", type=Path, metavar="OODMODEL", help="what `aiohooks ood fit` wrote")
        one.add_argument(
            "--false-discovery-rate",
            type=_share,
            default=0.1,
            metavar="RATE",
            help="share of normal pictures among those flagged (default: %(default)g)",
        )
    score.add_argument("sources", nargs="+", metavar="SOURCE", help="folders with their subfolders, pictures, videos")
    score.add_argument("--all", action="store_true", help=f"list all pictures, not the {MOST_LISTED} strangest")
    score.add_argument("--json", action="store_true", help="write the scores as JSON")
    report.add_argument("sources", nargs="*", metavar="SOURCE", help="pictures of which nothing is known")
    report.add_argument(
        "--normal", action="append", default=[], metavar="SOURCE", help="pictures that are in distribution"
    )
    report.add_argument(
        "--ood", action="append", default=[], metavar="SOURCE", help="pictures that are out of distribution"
    )
    report.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the page, such as report.html"
    )
    report.add_argument(
        "--strangest", type=whole_number(0), default=24, metavar="N", help="pictures shown of each source"
    )


async def run(args: argparse.Namespace) -> int:
    """Run the command."""
    with shown_logs(say):
        match args.action:
            case "fit":
                return await _fit(args)
            case "score":
                return await _score(args)
            case _:
                return await _report(args)


async def _fit(args: argparse.Namespace) -> int:
    _check_sources(args)
    calibration, strange = (None if name is None else picture_source([name]) for name in (args.calibration, args.ood))
    corruptions = None if args.corruptions is None else [name.strip() for name in args.corruptions.split(",")]
    class_of = None
    async with AsyncExitStack() as stack:
        if args.geti_project:
            geti = await stack.enter_async_context(GetiClient.from_environment())
            pictures = geti_dataset(geti, args.geti_project, args.geti_dataset, labelled=True)
            if args.geti_calibration:
                calibration = geti_dataset(geti, args.geti_project, args.geti_calibration, labelled=True)
            class_of = _labels_of
        else:
            pictures = picture_source(args.sources)
        deployment = await stack.enter_async_context(Deployment.load(**model_arguments(args), hooks=False))
        model = await OODModel.fit(
            deployment, pictures, calibration=calibration, out_of_distribution=strange, corruptions=corruptions,
            class_of=class_of, progress=True, max_bank=args.max_bank or "auto",
        )  # fmt: skip
    await anyio.to_thread.run_sync(_save, model, args.output)
    rows = [
        ("OOD model", str(args.output)),
        ("features", f"{model.width:,}"),
        ("logits", "with the last layer's" if model.last_layer is not None else "none: the last layer was not found"),
        ("calibrated on", f"{model.calibration_size:,} pictures" + ("" if calibration else _SET_ASIDE)),
        ("learned", model.learning),
        ("memory", f"{model.nbytes / 1e6:.1f} MB"),
        ("one frame", f"{model.cost_seconds * 1e6:.0f} µs"),
    ]
    print("\n".join(table(rows)))
    return 0


def _check_sources(args: argparse.Namespace) -> None:
    if bool(args.sources) == bool(args.geti_project):
        raise UsageError("what to fit on: name pictures, or --geti-project, and not both")
    if not args.geti_project and (args.geti_dataset or args.geti_calibration):
        raise UsageError("--geti-dataset and --geti-calibration are of a --geti-project: name it")
    if args.calibration and args.geti_calibration:
        raise UsageError("what to calibrate on: --calibration or --geti-calibration, not both")


def _labels_of(frame: Frame) -> str:
    return ", ".join(sorted(frame.context.label_names))


async def _score(args: argparse.Namespace) -> int:
    model = await anyio.to_thread.run_sync(OODModel.load, args.ood_model)
    async with Deployment.load(**model_arguments(args), hooks=False) as deployment:
        screened = await model.screen(
            deployment, picture_source(args.sources), false_discovery_rate=args.false_discovery_rate, progress=True
        )
    order = sorted(range(len(screened.names)), key=lambda i: screened.p_values[i])
    if args.json:
        print(json_text({"false_discovery_rate": args.false_discovery_rate, **_told(screened, order)}))
    else:
        shown = order if args.all else order[:MOST_LISTED]
        rows = [
            (
                f"{screened.scores[i]:.3f}",
                f"{screened.p_values[i]:.4f}",
                "OOD" if screened.flagged[i] else "",
                screened.names[i],
            )
            for i in shown
        ]
        if rows:
            print("\n".join(table([("score", "p", "", "picture"), *rows], right={0, 1})))
        print(
            f"\n{int(screened.flagged.sum()):,} of {len(order):,} pictures are out of distribution, of which at most "
            f"{args.false_discovery_rate:.0%} are expected to be mistaken"
            + (f"; fewer than {screened.least_flaggable:,} could not be flagged" if screened.is_blind else "")
        )
    for message in screened.failed:
        say(printable(message))
    return int(screened.left_out > 0)


async def _report(args: argparse.Namespace) -> int:
    wanted: list[tuple[str, Kind]] = [
        *((name, "in") for name in args.normal),
        *((name, "out") for name in args.ood),
        *((name, "unknown") for name in args.sources),
    ]
    if not wanted:
        raise UsageError("nothing to report on: name pictures, --normal or --ood")
    model = await anyio.to_thread.run_sync(OODModel.load, args.ood_model)
    groups = []
    async with Deployment.load(**model_arguments(args), hooks=False) as deployment:
        for name, kind in wanted:
            screened = await model.screen(
                deployment, picture_source([name]), false_discovery_rate=args.false_discovery_rate, strangest=args.strangest,
                what=name, progress=True,
            )  # fmt: skip
            groups.append(Group(name, kind, screened))
            for message in screened.failed:
                say(printable(message))
    page = report_page(f"{args.ood_model.name} on {deployment.name}", model, groups, at=datetime.now(UTC))
    await anyio.to_thread.run_sync(_write, args.output, page.encode())
    print(f"report in {printable(str(args.output))}")
    return int(any(group.screened.left_out for group in groups))


def _told(screened: Screened, order: Sequence[int]) -> dict[str, object]:
    return {
        "pictures": [
            {
                "name": screened.names[i],
                "score": float(screened.scores[i]),
                "p_value": float(screened.p_values[i]),
                "out_of_distribution": bool(screened.flagged[i]),
            }
            for i in order
        ],
        "left_out": screened.left_out,
        "least_flaggable": screened.least_flaggable,
    }


def _add(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
    )
    add_model_arguments(parser)
    parser.set_defaults(features=True)
    return parser


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text!r}")
    return value


def _save(model: OODModel, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error}") from error


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written: {error}") from error


COMMAND = Command(
    "ood", "find pictures unlike those that a model was trained with: fit, score, report", add_arguments, run
)
