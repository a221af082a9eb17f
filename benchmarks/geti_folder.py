"""A Geti deployment folder around a model, as Geti's server would export it."""

import json
from pathlib import Path
from typing import Any

import openvino as ov

CREATED = "2025-01-01T00:00:00.000000+00:00"


def write(folder: Path, model: ov.Model) -> Path:
    """Write ``folder/deployment`` for a project with this model as its only task.

    Args:
        folder: made if it is missing.
        model: its rt_info holds ``model_info`` with task and labels.

    Returns:
        The path of the model's .xml.
    """
    info = {key: str(value.astype(str)) for key, value in model.get_rt_info(["model_info"]).astype(dict).items()}
    title = info["task_type"].capitalize()
    task = folder / "deployment" / title
    (task / "python").mkdir(parents=True)
    (task / "model").mkdir()
    path = task / "model" / "model.xml"
    ov.save_model(model, path, compress_to_fp16=False)
    _write(task / "model" / "config.json", _config(info))
    _write(task / "model.json", _model(title))
    _write(task / "hyper_parameters.json", None)
    _write(folder / "deployment" / "project.json", _project(title, info))
    return path


def _config(info: dict[str, str]) -> dict[str, Any]:
    return {
        "task_type": info["task_type"],
        "model_type": info["model_type"],
        "model_parameters": {"labels": info["labels"], "labels_ids": info["label_ids"]},
    }


def _model(title: str) -> dict[str, Any]:
    return {
        "id": _id(1),
        "name": f"{title} OpenVINO FP32",
        "version": 1,
        "creation_date": CREATED,
        "model_format": "OpenVINO",
        "model_status": "SUCCESS",
        "precision": ["FP32"],
        "performance": {"score": 1.0},
        "has_xai_head": False,
        "size": 1,
        "latency": 0,
        "fps_throughput": 0,
        "target_device": "CPU",
        "target_device_type": None,
        "optimization_type": "MO",
        "optimization_methods": [],
        "optimization_objectives": {},
        "configurations": [],
        "previous_revision_id": _id(2),
        "previous_trained_revision_id": _id(2),
    }


def _project(title: str, info: dict[str, str]) -> dict[str, Any]:
    names = json.loads(info["label_info"])["label_names"]
    labels = [_label(name, key, "Labels") for name, key in zip(names, info["label_ids"].split(), strict=True)]
    labels.append(_label("Nothing", _id(3), "Nothing", is_empty=True))
    tasks = [
        {"id": _id(4), "title": "Dataset", "task_type": "dataset"},
        {
            "id": _id(5),
            "title": title,
            "task_type": info["task_type"],
            "label_schema_id": _id(6),
            "labels": labels,
        },
    ]
    return {
        "id": _id(7),
        "name": "Benchmark",
        "creation_time": CREATED,
        "creator_id": "nobody",
        "pipeline": {"tasks": tasks, "connections": [{"from": tasks[0]["id"], "to": tasks[1]["id"]}]},
        "thumbnail": "",
        "performance": {"score": 1.0},
        "storage_info": {},
        "datasets": [{"id": _id(8), "name": "Dataset", "use_for_training": True, "creation_time": CREATED}],
    }


def _label(name: str, key: str, group: str, *, is_empty: bool = False) -> dict[str, Any]:
    return {
        "id": key,
        "name": name,
        "color": "#28c85aff",
        "group": group,
        "hotkey": "",
        "is_anomalous": False,
        "is_empty": is_empty,
        "parent_id": None,
    }


def _id(number: int) -> str:
    return f"{0x100 + number:024x}"


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
