"""A Geti deployment folder, read: the project, its tasks in the order of the pipeline, their labels and model files.

    deployment/project.json              pipeline.tasks and pipeline.connections
    deployment/<task title>/model.json   what Geti says about the model
    deployment/<task title>/model/       model.xml, model.bin, config.json
    deployment/<task title>/python/      code, which is never read or run

The layout is that of geti-sdk 2.13. Reading is lenient: what is not needed may be missing or of any kind.
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from aiohooks.annotation import Label
from aiohooks.errors import LoadError
from aiohooks.inference.loaded_model import TrainedModel

logger = logging.getLogger(__name__)

PROJECT_FILE = "project.json"

GLOBAL_TASKS = frozenset({"classification", "anomaly_classification", "anomaly"})
"""Task types that label a picture as a whole."""

LOCAL_TASKS = frozenset(
    {
        "detection", "rotated_detection", "instance_segmentation", "segmentation", "keypoint_detection",
        "anomaly_detection", "anomaly_segmentation",
    }
)  # fmt: skip
"""Task types that find things in a picture."""

_FLOW = frozenset({"dataset", "crop"})
_DEFAULT_TILING = {"tile_size": 400, "tiles_overlap": 0.5, "max_pred_number": 100}  # Model API's


class GetiTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that has a model.

    Attributes:
        id: in the project; may be empty.
        title: as people read it, and the name of its folder.
        task_type: Geti's, such as ``rotated_detection``.
        labels: of the project, with its ids, names and colours.
        folder: what belongs to the task.
        model: what Geti says about the model.
        parameters: Model API parameters that the graph does not hold.
    """

    id: str
    title: str
    task_type: str
    labels: tuple[Label, ...]
    folder: Path
    model: TrainedModel
    parameters: Mapping[str, Any]

    @property
    def model_file(self) -> Path:
        """The .xml of its model."""
        return self.folder / "model" / "model.xml"


class GetiProject(msgspec.Struct, frozen=True, kw_only=True):
    """A project with its tasks in the order of the pipeline.

    Attributes:
        id: on the server; may be empty.
        name: as people read it.
        folder: holds ``project.json``.
        tasks: those that have a model, at least one.
    """

    id: str
    name: str
    folder: Path
    tasks: tuple[GetiTask, ...]


def find_project(path: str | os.PathLike[str]) -> Path:
    """Return the folder that holds ``project.json``: this one or ``deployment`` in it.

    Raises:
        LoadError: neither does.
    """
    given = Path(path)
    for folder in (given, given / "deployment"):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise LoadError(
        f"{given}: there is neither a {PROJECT_FILE} nor a deployment/{PROJECT_FILE} in this folder; pass the folder of a "
        "Geti deployment, or a model file (.xml, .onnx or .tflite)"
    )


def read_project(path: str | os.PathLike[str]) -> GetiProject:
    """Read a deployment folder, except for the models themselves.

    Args:
        path: the folder that holds ``project.json`` or ``deployment/project.json``.

    Raises:
        LoadError: a file is missing or wrong; the message names it.
    """
    folder = find_project(path)
    place = folder / PROJECT_FILE
    data = _object(_read_json(place), place, "")
    pipeline = _object(data.get("pipeline"), place, "pipeline")
    entries = pipeline.get("tasks")
    if not isinstance(entries, list):
        raise LoadError(f"{place}: pipeline.tasks: expected a list of tasks, got {type(entries).__name__}")
    tasks = [_object(entry, place, f"pipeline.tasks[{i}]") for i, entry in enumerate(entries)]
    tasks = in_order(tasks, pipeline.get("connections"), place)
    found = tuple(_task(task, folder, place) for task in tasks if _task_type(task, place) not in _FLOW)
    if not found:
        raise LoadError(f"{place}: no task of the pipeline has a model; export the deployment of a trained project")
    name = _text(data.get("name")) or (folder.parent if folder.name == "deployment" else folder).resolve().name
    return GetiProject(id=_text(data.get("id")), name=name, folder=folder, tasks=found)


def in_order(tasks: Sequence[Mapping[str, Any]], connections: object, place: Path) -> list[Mapping[str, Any]]:
    """Return the tasks in the order that the connections say; as listed, where these do not say it of every task.

    Args:
        tasks: entries of ``pipeline.tasks``.
        connections: of ``pipeline``, each from one task to the next, by id or title.
        place: the file, for messages.

    Raises:
        LoadError: they go from a task to several, from several to one, or in a circle.
    """
    positions = {_text(task.get(key)): i for key in ("title", "id") for i, task in enumerate(tasks)}
    positions.pop("", None)
    following: dict[int, int] = {}
    for connection in connections if isinstance(connections, list) else ():
        ends = connection if isinstance(connection, Mapping) else {}
        start = positions.get(_text(ends.get("from") or ends.get("from_")))
        end = positions.get(_text(ends.get("to")))
        if start is None or end is None:
            continue
        if following.get(start, end) != end or end in {to for begin, to in following.items() if begin != start}:
            raise LoadError(
                f"{place}: pipeline.connections branch at {_title(tasks[start])!r}; only chains of tasks can be run, "
                "deploy the branches as projects of their own"
            )
        following[start] = end
    if len(following) >= len(tasks) > 0 or any(_returns(start, following) for start in following):
        circle = ", ".join(repr(_title(tasks[start])) for start in following)
        raise LoadError(f"{place}: pipeline.connections go in a circle ({circle}); a pipeline needs a first task")
    if len(following) + 1 != len(tasks):
        return list(tasks)
    (at,) = set(range(len(tasks))) - set(following.values())
    order = [at]
    while at in following:
        at = following[at]
        order.append(at)
    return [tasks[i] for i in order]


def tiling_parameters(config: object) -> dict[str, Any]:
    """Return the tiling that exports of OTX 1 keep in ``config.json``, as Model API parameters; empty if they do not tile."""
    tiling = config.get("tiling_parameters") if isinstance(config, Mapping) else None
    if not isinstance(tiling, Mapping) or not _value(tiling.get("enable_tiling")):
        return {}
    try:
        size, overlap, most, factor = (
            float(_value(tiling[key]))
            for key in ("tile_size", "tile_overlap", "tile_max_number", "tile_ir_scale_factor")
        )
        return {"tile_size": int(size * factor), "tiles_overlap": overlap / factor, "max_pred_number": int(most)}
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        logger.warning(
            "tiling_parameters are not complete (%s: %s): the defaults are used", type(error).__name__, error
        )
        return dict(_DEFAULT_TILING)


def trained_model(data: object) -> TrainedModel:
    """Return what a ``model.json`` says about its model."""
    given = data if isinstance(data, Mapping) else {}
    precision = given.get("precision")
    return TrainedModel(
        name=_text(given.get("name")),
        precision=tuple(map(_text, precision)) if isinstance(precision, list) else (),
        optimization=_text(given.get("optimization_type")),
        has_xai_head=given.get("has_xai_head") is True,
    )


def _returns(start: int, following: Mapping[int, int]) -> bool:
    at, seen = start, set[int]()
    while at in following and at not in seen:
        seen.add(at)
        at = following[at]
    return at in seen


def _task(task: Mapping[str, Any], folder: Path, place: Path) -> GetiTask:
    task_type, title = _task_type(task, place), _title(task)
    own = _task_folder(folder, title, place)
    for name in ("model.xml", "model.bin"):
        if not (own / "model" / name).is_file():
            raise LoadError(
                f"{own / 'model' / name}: there is no such file, which task {title!r} of {place} needs; "
                "download the deployment again, or copy all of it"
            )
    config = _read_optional_json(own / "model" / "config.json")
    return GetiTask(
        id=_text(task.get("id")), title=title, task_type=task_type, labels=_labels(task, title, place), folder=own,
        model=trained_model(_read_optional_json(own / "model.json")), parameters=tiling_parameters(config),
    )  # fmt: skip


def _task_folder(folder: Path, title: str, place: Path) -> Path:
    """Return the folder of a task; its title is data, so it must not lead to another place, by name or by link."""
    if not title:
        raise LoadError(f"{place}: pipeline.tasks: a task has no title, which names its folder")
    try:
        own, root = (folder / title).resolve(), folder.resolve()
    except (OSError, ValueError) as error:
        raise LoadError(f"{place}: pipeline.tasks: the title {title!r} cannot name a folder: {error}") from error
    if own == root or not own.is_relative_to(root):
        raise LoadError(
            f"{place}: pipeline.tasks: the title {title!r} leads out of the deployment folder; it must name a folder in it"
        )
    if not own.is_dir():
        raise LoadError(
            f"{folder / title}: there is no such folder, which task {title!r} of {place} needs; "
            "download the deployment again, or copy all of it"
        )
    return folder / title


def _task_type(task: Mapping[str, Any], place: Path) -> str:
    task_type = _text(task.get("task_type")).lower()
    if task_type not in GLOBAL_TASKS | LOCAL_TASKS | _FLOW:
        known = ", ".join(sorted(GLOBAL_TASKS | LOCAL_TASKS))
        raise LoadError(f"{place}: task {_title(task)!r} is of unknown task_type {task_type!r}; known are {known}")
    return task_type


def _labels(task: Mapping[str, Any], title: str, place: Path) -> tuple[Label, ...]:
    entries = task.get("labels")
    labels = tuple(
        _label(entry) for entry in entries if isinstance(entry, Mapping) and _text(entry.get("name"))
    ) if isinstance(entries, list) else ()  # fmt: skip
    if not labels:
        raise LoadError(f"{place}: task {title!r} has no labels; export the deployment of a project that has some")
    return labels


def _label(data: Mapping[str, Any]) -> Label:
    color = _text(data.get("color"))  # kept as it is; who draws puts up with what is no colour
    return Label(
        name=_text(data.get("name")),
        id=_text(data.get("id")),
        group=_text(data.get("group")),
        parent_id=_text(data.get("parent_id")),
        is_empty=data.get("is_empty") is True,
        is_anomalous=data.get("is_anomalous") is True,
        **({"color": color} if color else {}),
    )


def _title(task: Mapping[str, Any]) -> str:
    return _text(task.get("title"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _value(entry: object) -> Any:
    return entry.get("value") if isinstance(entry, Mapping) else entry


def _object(data: object, place: Path, spot: str) -> Mapping[str, Any]:
    if isinstance(data, Mapping):
        return data
    where = f"{place}: {spot}: " if spot else f"{place}: "
    raise LoadError(
        f"{where}expected an object, got {type(data).__name__}; is this the project.json of a Geti deployment?"
    )


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise LoadError(f"{path}: cannot be read as JSON: {error}; download the deployment again") from error


def _read_optional_json(path: Path) -> object:
    return _read_json(path) if path.is_file() else None
