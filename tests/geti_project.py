"""Geti deployment folders around tiny models, laid out as Geti's server exports them.

write(tmp_path, Task("Detection", tiny_models.detector()), Task("Classification", tiny_models.classifier()))
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import openvino as ov
import tiny_models
from tiny_blocks import RGB

COLORS = ("#28c85aff", "#64965aff", "#a0645aff", "#dc325aff", "#118005aff")  # the last one is malformed


@dataclass
class Task:
    """A task of a project.

    Attributes:
        title: names its folder.
        model: with Model API's metadata.
        labels: names, in the order of the model's classes.
        task_type: by default what the model says.
        empty: name of the label for nothing; None: there is none.
        info: what differs in model.json.
        config: what differs in config.json.
    """

    title: str
    model: ov.Model
    labels: Sequence[str] = RGB
    task_type: str = ""
    empty: str | None = "Nothing"
    info: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


def write(folder: Path, *tasks: Task, name: str = "Tiny project", **changes: Any) -> Path:
    """Write ``folder/deployment`` and return ``folder``; ``changes`` replace parts of ``pipeline``."""
    deployment = folder / "deployment"
    deployment.mkdir(parents=True)
    entries: list[dict[str, Any]] = [{"id": "t-dataset", "title": "Dataset", "task_type": "dataset"}]
    for number, task in enumerate(tasks):
        if number:
            entries.append({"id": f"t-crop-{number}", "title": f"Crop {number}", "task_type": "crop"})
        entries.append(_write_task(deployment, number, task))
    connections = [{"from": one["id"], "to": other["id"]} for one, other in pairwise(entries)]
    write_json(
        deployment / "project.json",
        {
            "id": "p-1",
            "name": name,
            "creation_time": "2025-09-16T02:22:48.016000+00:00",
            "creator_id": "nobody",
            "pipeline": {"tasks": entries, "connections": connections} | changes,
            "datasets": [{"id": "d-1", "name": "Dataset", "use_for_training": True}],
        },
    )
    return folder


def edit(folder: Path, change: Mapping[str, Any], file: str = "project.json") -> None:
    """Replace entries of a JSON file of a deployment."""
    path = folder / "deployment" / file
    write_json(path, json.loads(path.read_text()) | change)


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def label_id(title: str, name: str) -> str:
    return f"{title}/{name}".replace(" ", "-")


def _write_task(deployment: Path, number: int, task: Task) -> dict[str, Any]:
    stated = {key: str(value.astype(str)) for key, value in task.model.get_rt_info(["model_info"]).astype(dict).items()}
    task_type = task.task_type or stated["task_type"]
    folder = deployment / task.title
    (folder / "model").mkdir(parents=True)
    (folder / "python").mkdir()
    (folder / "python" / "demo.py").write_text("raise SystemExit('code of a deployment was run')")
    model = task.model.clone()
    background = ["None"] if stated["labels"].startswith("otx_empty_lbl") else []
    ids = [*background, *(label_id(task.title, name) for name in task.labels)]
    model.set_rt_info(" ".join(ids), ["model_info", "label_ids"])
    tiny_models.save(model, folder / "model" / "model.xml")
    write_json(
        folder / "model" / "config.json", {"task_type": task_type, "model_type": stated["model_type"]} | task.config
    )
    write_json(folder / "hyper_parameters.json", None)
    about = {
        "id": f"m-{number}",
        "name": f"Tiny {task.title} OpenVINO FP16",
        "creation_date": "2025-09-16T06:46:57.513000+00:00",
        "precision": ["FP16"],
        "has_xai_head": False,
        "optimization_type": "MO",
        "optimization_methods": [],
        "optimization_objectives": {},
        "model_status": "SUCCESS",
    }
    write_json(folder / "model.json", about | task.info)
    labels = [_label(task, i, name) for i, name in enumerate(task.labels)]
    if task.empty is not None:
        labels.append(_label(task, 0, task.empty, is_empty=True))
    return {
        "id": f"t-{number}",
        "title": task.title,
        "task_type": task_type,
        "labels": labels,
        "label_schema_id": "s-1",
    }


def _label(task: Task, index: int, name: str, *, is_empty: bool = False) -> dict[str, Any]:
    return {
        "id": label_id(task.title, name),
        "name": name,
        "color": COLORS[index % len(COLORS)],
        "group": f"{task.title} labels",
        "hotkey": "",
        "is_anomalous": name.startswith("Anomal"),
        "is_empty": is_empty,
        "parent_id": None,
    }
