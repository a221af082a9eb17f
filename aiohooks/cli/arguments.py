"""Arguments that several commands share: which model, and how it runs."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODEL_HELP = "model file: .xml (OpenVINO), .onnx or .tflite; or the folder of a Geti deployment"


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model and the options of `aiohooks.Deployment.load`."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    add_model_options(parser)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `aiohooks.Deployment.load`."""
    group = parser.add_argument_group("model")
    group.add_argument("--device", default="CPU", help="OpenVINO device: CPU, GPU, NPU, AUTO … (default: %(default)s)")
    group.add_argument(
        "--labels",
        type=_labels,
        metavar="FILE|NAMES",
        help="text file with one name a line, or names separated by commas, in the order of the model's outputs",
    )
    group.add_argument("--model-type", metavar="TYPE", help="Model API's name for the kind of model, such as ssd")
    group.add_argument(
        "--parameter",
        action="append",
        default=[],
        type=_key_value,
        metavar="[TASK.]KEY=VALUE",
        help="Model API parameter, such as confidence_threshold=0.3; in a chain of tasks of the task with that title; may be repeated",
    )
    group.add_argument(
        "--config",
        action="append",
        default=[],
        type=_key_value,
        metavar="KEY=VALUE",
        help="OpenVINO property, such as PERFORMANCE_HINT=LATENCY; may be repeated",
    )
    group.add_argument(
        "--max-requests", type=whole_number(1), metavar="N", help="inferences at once (default: the device's choice)"
    )

    group.add_argument(
        "--features",
        default="auto",
        type=lambda text: True if text == "last" else text,
        metavar="auto|last|TENSOR",
        help="where the feature vector comes from: the model's own output (auto), else the input of its last layer (last), or a tensor",
    )


def model_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the options of `add_model_arguments` say as arguments of `aiohooks.Deployment.load`."""
    return {"path": args.model, **model_options(args)}


def model_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the options of `add_model_options` say as arguments of `aiohooks.Deployment.load`."""
    return {
        "device": args.device,
        "labels": args.labels,
        "model_type": args.model_type,
        "parameters": _by_task(args.parameter),
        "config": dict(args.config),
        "max_requests": args.max_requests,
        "features": args.features,
    }


def whole_number(lowest: int) -> Callable[[str], int]:
    """Return a type for argparse: whole numbers from ``lowest`` on."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {lowest}, got {text!r}")
        return int(text)

    return parse


def seconds(text: str) -> float:
    """Parse a time span for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds, got {text!r}")
    return value


def _key_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    return key, value


def _by_task(given: list[tuple[str, str]]) -> dict[str, Any]:
    """Return parameters as `Deployment.load` takes them: those of a task in a mapping of their own."""
    parameters: dict[str, Any] = {}
    for key, value in given:
        task, dot, name = key.rpartition(".")
        if dot:
            parameters.setdefault(task, {})[name] = value
        else:
            parameters[name] = value
    return parameters


def _labels(text: str) -> Path | list[str]:
    """Take for a file what exists or looks like one, so that the model's loader says that it is missing."""
    path = Path(text)
    if path.is_file() or ("," not in text and (path.suffix or len(path.parts) > 1)):
        return path
    return [name.strip() for name in text.split(",") if name.strip()]
