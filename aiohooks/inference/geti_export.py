"""Deployment folders written: a Geti project copied without its code, or a single model made into one.

The layout is that of `aiohooks.inference.geti_folder`; what stands in the files is what geti-sdk 2.13 asks for. Slow and
synchronous: meant for a worker thread.
"""

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from aiohooks.annotation import Label
from aiohooks.atomic_file import part_of, write_atomically
from aiohooks.atomic_folder import replace_folder
from aiohooks.errors import DeploymentError, SpecError
from aiohooks.inference.geti_folder import GLOBAL_TASKS, LOCAL_TASKS, PROJECT_FILE, GetiProject
from aiohooks.inference.labels import BACKGROUND
from aiohooks.inference.loaded_model import ModelDescription, TrainedModel
from aiohooks.prediction import Task

if TYPE_CHECKING:
    import openvino as ov

    from aiohooks.inference.features import Features
    from aiohooks.inference.model_loading import ModelSource

_MODEL_FILES = frozenset({".xml", ".bin", ".json"})
_OF_THE_COMPILED = frozenset(
    {"embedded_processing", "orig_height", "orig_width", "input_frame_height", "input_frame_width"}
)
"""Parameters that tell of the model as it runs, with its preprocessing inside, not of its file."""


def save_folder(
    folder: Path,
    write: Callable[[Path], None],
    beside: Mapping[str, bytes | Path | Callable[[Path], object] | None],
    *,
    source: Path | None,
    overwrite: bool,
) -> Path:
    """Write a deployment folder, ``folder/deployment``, or nothing at all.

    Args:
        folder: made if it is missing; if it is called ``deployment``, it is the one.
        write: writes the models and ``project.json`` into an empty folder.
        beside: contents of the files beside ``project.json``, by name, or the files that have them, or what writes them; None for one that is
            not to be there.
        source: the deployment folder that the models are from. If that is the one to be written, only ``beside`` is.
        overwrite: another deployment may be there; it is replaced.

    Returns:
        The folder that holds ``project.json``.

    Raises:
        DeploymentError: something is there, or it cannot be written.
    """
    target = folder if folder.name == "deployment" else folder / "deployment"
    if source is not None and source.resolve() in (folder.resolve(), target.resolve()):
        _write_beside(source, beside)
        return source
    occupied = target.exists() and any(target.iterdir()) if target.is_dir() else target.exists()
    if occupied and not (overwrite and (target / PROJECT_FILE).is_file()):
        hint = (
            "pass overwrite=True to replace the deployment there, or" if (target / PROJECT_FILE).is_file() else "pass"
        )
        raise DeploymentError(f"{target}: cannot be saved: this place is taken; {hint} another folder")
    building = Path(part_of(target))
    made = [place for place in target.parents if not place.exists()]
    try:
        building.mkdir(parents=True)
        write(building)
        _write_beside(building, beside)
        replace_folder(building, target)
    except OSError as error:
        raise DeploymentError(f"{target}: cannot be saved: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
        for place in made:
            with contextlib.suppress(OSError):  # it holds what was saved
                place.rmdir()
    return target


def _write_beside(folder: Path, files: Mapping[str, bytes | Path | Callable[[Path], object] | None]) -> None:
    """Write files beside ``project.json``, each whole or not at all, and remove those that are not to be there."""
    for name, content in files.items():
        try:
            if content is None:
                (folder / name).unlink(missing_ok=True)
            elif isinstance(content, Path):
                _copy(content, folder / name)
            elif callable(content):
                content(folder / name)
            else:
                write_atomically(folder / name, content)
        except OSError as error:
            raise DeploymentError(f"{folder / name}: cannot be saved: {error}") from error


def _copy(source: Path, target: Path) -> None:
    if target.exists() and source.samefile(target):
        return
    part = Path(part_of(target))
    try:
        shutil.copyfile(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def copy_project(project: GetiProject, folder: Path) -> None:
    """Copy a project with its models as they are, but none of its code.

    Args:
        project: as read.
        folder: exists, and is empty.
    """
    shutil.copyfile(project.folder / PROJECT_FILE, folder / PROJECT_FILE)
    for task in project.tasks:
        own = folder / task.title
        _make_task_folder(own)
        for name in ("model.json", "hyper_parameters.json"):
            if (task.folder / name).is_file():
                shutil.copyfile(task.folder / name, own / name)
        for file in task.model_file.parent.iterdir():
            if file.is_file() and file.suffix in _MODEL_FILES:
                shutil.copyfile(file, own / "model" / file.name)
        if not (own / "model.json").exists():
            _write_json(own / "model.json", _model_json(task.title, task.model, task.model_file.with_suffix(".bin")))
        if not (own / "model" / "config.json").exists():
            _write_json(own / "model" / "config.json", {"task_type": task.task_type})


def export_model(
    source: "ModelSource",
    folder: Path,
    *,
    description: ModelDescription,
    labels: Sequence[Label],
    parameters: Mapping[str, Any],
    features: "Features" = "auto",
) -> None:
    """Write a model as a project of one task.

    Args:
        source: what it was loaded from.
        folder: exists, and is empty.
        description: of the loaded model.
        labels: its label table.
        parameters: Model API parameters with which it was loaded.
        features: what was made its feature vector, which becomes an output of the file.

    Raises:
        SpecError: it has a decoder.
    """
    import openvino as ov

    from aiohooks.inference import graph
    from aiohooks.inference.features import expose
    from aiohooks.inference.openvino_core import core

    if description.task is None:
        raise SpecError(
            f"model {description.name!r} is decoded by {description.model_type}, which is code, and a deployment folder holds none: "
            "save the model file, and load it with decoder="
        )
    model = source.clone() if isinstance(source, ov.Model) else core().read_model(source)
    info = graph.metadata(model)
    if features != "auto":
        graph.name_outputs(model)
        expose(model, features)
    task_type = _task_type(description, info)
    title = task_type.replace("_", " ").capitalize()
    labels = _identified(labels, title)
    for key, value in _metadata(info, description, task_type, labels, parameters).items():
        model.set_rt_info(value, ["model_info", key])

    own = folder / title
    _make_task_folder(own)
    ov.save_model(model, own / "model" / "model.xml", compress_to_fp16=False)
    outputs = {output.name for output in description.outputs}
    trained = TrainedModel(
        name=f"{description.name} OpenVINO",
        precision=(_precision(model),),
        optimization="MO",
        has_xai_head=bool(outputs & {"feature_vector", "saliency_map"}),
    )
    _write_json(own / "model.json", _model_json(title, trained, own / "model" / "model.bin"))
    _write_json(own / "hyper_parameters.json", None)
    _write_json(own / "model" / "config.json", {"task_type": task_type, "model_type": description.model_type})
    _write_json(folder / PROJECT_FILE, _project_json(description.name, title, task_type, labels))


def _make_task_folder(folder: Path) -> None:
    (folder / "model").mkdir(parents=True)
    (folder / "python").mkdir()  # geti-sdk cannot save a deployment again that lacks it


def _task_type(description: ModelDescription, info: Mapping[str, str]) -> str:
    stated = info.get("task_type", "").lower()
    if description.task is Task.ANOMALY:
        return (
            stated
            if stated.startswith("anomaly")
            else f"anomaly_{description.parameters.get('task', 'classification')}"
        )
    assert description.task is not None
    task_type = str(description.task)
    assert task_type in GLOBAL_TASKS | LOCAL_TASKS
    return task_type


def _identified(labels: Sequence[Label], title: str) -> list[Label]:
    return [
        msgspec.structs.replace(label, id=label.id or _id("label", label.name), group=label.group or f"{title} labels")
        for label in labels
    ]


def _metadata(
    info: Mapping[str, str],
    description: ModelDescription,
    task_type: str,
    labels: Sequence[Label],
    parameters: Mapping[str, Any],
) -> dict[str, str]:
    """Return Model API's metadata with which the file alone says what the loaded model is."""
    from aiohooks.inference import model_types
    from aiohooks.inference.parameters import TILE_PARAMETERS, known_parameters

    cls = model_types.find_wrapper(description.model_type)
    known = {name: parameter.default_value for name, parameter in known_parameters(cls).items()}
    told = {
        name: value
        for name, value in description.parameters.items()
        if name in parameters or (name not in info and name not in _OF_THE_COMPILED and value != known.get(name))
    }
    if description.tiling is not None:
        told |= {name: getattr(description.tiling, name) for name in TILE_PARAMETERS}
    elif "tile_size" in info:
        told["tile_size"] = 0
    found = [label for label in labels if not label.is_empty]
    names, ids = [label.name for label in found], [label.id for label in found]
    tokens = [re.sub(r"\s", "_", name) for name in names]
    stated = info.get("labels", "").split()
    if model_types.wants_background(cls) and (not stated or stated[0] == BACKGROUND):
        tokens, ids, names = [BACKGROUND, *tokens], ["None", *ids], [BACKGROUND, *names]
    if description.parameters.get("hierarchical") and len(stated) == len(tokens):
        tokens = stated  # its tree of labels speaks of them
    return {
        **{name: _text(value) for name, value in told.items()},
        "model_type": description.model_type,
        "task_type": task_type,
        "labels": " ".join(tokens),
        "label_ids": " ".join(ids),
        "label_info": json.dumps({"label_names": names, "label_ids": ids, "label_groups": [names]}),
    }


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _precision(model: "ov.Model") -> str:
    kinds = {node.get_type_name() for node in model.get_ops()}
    if "FakeQuantize" in kinds:
        return "INT8"
    constants = {
        node.get_element_type().get_type_name() for node in model.get_ops() if node.get_type_name() == "Constant"
    }
    return "FP16" if "f16" in constants else "FP32"


def _model_json(title: str, model: TrainedModel, weights: Path) -> dict[str, Any]:
    return {
        "id": _id("model", model.name or title),
        "name": model.name or title,
        "version": 1,
        "creation_date": _now(),
        "model_format": "OpenVINO",
        "precision": list(model.precision) or ["FP32"],
        "has_xai_head": model.has_xai_head,
        "target_device": "CPU",
        "target_device_type": None,
        "performance": {"score": None},
        "size": weights.stat().st_size,
        "latency": 0,
        "fps_throughput": 0,
        "optimization_type": model.optimization or "MO",
        "optimization_objectives": {},
        "model_status": "SUCCESS",
        "configurations": [],
        "previous_revision_id": _id("model", title),
        "previous_trained_revision_id": _id("model", title),
        "optimization_methods": [],
    }


def _project_json(name: str, title: str, task_type: str, labels: Sequence[Label]) -> dict[str, Any]:
    tasks: list[dict[str, Any]] = [
        {"id": _id("task", "Dataset"), "title": "Dataset", "task_type": "dataset"},
        {
            "id": _id("task", title),
            "title": title,
            "task_type": task_type,
            "label_schema_id": _id("label schema", name),
            "labels": [_label_json(label) for label in labels],
        },
    ]
    return {
        "id": _id("project", name),
        "name": name,
        "creation_time": _now(),
        "creator_id": "aiohooks",
        "pipeline": {"tasks": tasks, "connections": [{"from": tasks[0]["id"], "to": tasks[1]["id"]}]},
        "thumbnail": "",
        "performance": {"score": None},
        "storage_info": {},
        "datasets": [
            {"id": _id("dataset", name), "name": "Dataset", "use_for_training": True, "creation_time": _now()}
        ],
    }


def _label_json(label: Label) -> dict[str, Any]:
    return {
        "id": label.id,
        "name": label.name,
        "color": label.color,
        "group": label.group,
        "hotkey": "",
        "is_anomalous": label.is_anomalous,
        "is_empty": label.is_empty,
        "parent_id": label.parent_id or None,
    }


def _id(kind: str, name: str) -> str:
    """Return an id in the form of Geti's, always the same for a name; it starts with a letter, since geti-sdk reads others as numbers."""
    return "a" + hashlib.sha256(f"{kind} {name}".encode()).hexdigest()[:23]


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False), encoding="utf-8")
