"""A Geti deployment folder around one model or several, as Geti's server would export it."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import openvino as ov

CREATED = "2025-01-01T00:00:00.000000+00:00"


def write(folder: Path, model: ov.Model, *next_ones: ov.Model) -> Path:
    """Write ``folder/deployment`` for a project with this model as its only task, or as the first of a chain.

    Args:
        folder: made if it is missing.
        model: its rt_info holds ``model_info`` with task and labels.
        next_ones: the models of the tasks that go on with what is cut out.

    Returns:
        The path of the first model's .xml.
    """
    infos = []
    for each in (model, *next_ones):
        info = {key: str(value.astype(str)) for key, value in each.get_rt_info(["model_info"]).astype(dict).items()}
        alike = sum(info["task_type"] == other["task_type"] for other in infos)
        infos.append(info | {"title": info["task_type"].capitalize() + (f" {alike + 1}" if alike else "")})
        task = folder / "deployment" / infos[-1]["title"]
        (task / "python").mkdir(parents=True)
        (task / "model").mkdir()
        ov.save_model(each, task / "model" / "model.xml", compress_to_fp16=False)
        _write(task / "model" / "config.json", _config(info))
        _write(task / "model.json", _model(infos[-1]["title"]))
        _write(task / "hyper_parameters.json", None)
    _write(folder / "deployment" / "project.json", _project(infos))
    return folder / "deployment" / infos[0]["title"] / "model" / "model.xml"


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


def _project(infos: list[dict[str, str]]) -> dict[str, Any]:
    tasks: list[dict[str, Any]] = [{"id": _id(4), "title": "Dataset", "task_type": "dataset"}]
    for number, info in enumerate(infos):
        if number:
            tasks.append({"id": _id(60 + number), "title": f"Crop {number}", "task_type": "crop"})
        tasks.append(
            {
                "id": _id(30 + number),
                "title": info["title"],
                "task_type": info["task_type"],
                "label_schema_id": _id(6),
                "labels": _labels(info),
            }
        )
    return {
        "id": _id(7),
        "name": "Benchmark",
        "creation_time": CREATED,
        "creator_id": "nobody",
        "pipeline": {
            "tasks": tasks,
            "connections": [{"from": one["id"], "to": other["id"]} for one, other in pairwise(tasks)],
        },
        "thumbnail": "",
        "performance": {"score": 1.0},
        "storage_info": {},
        "datasets": [{"id": _id(8), "name": "Dataset", "use_for_training": True, "creation_time": CREATED}],
    }


def _labels(info: dict[str, str]) -> list[dict[str, Any]]:
    names = json.loads(info["label_info"])["label_names"]
    labels = [_label(name, key, "Labels") for name, key in zip(names, info["label_ids"].split(), strict=True)]
    return [*labels, _label("Nothing", _id(3), "Nothing", is_empty=True)]


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
