"""Supervisely's meta: which classes and tags there are, with their geometries and colours."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aiohooks.annotation import Label
from aiohooks.prediction.json_fields import list_at, object_at, text_at
from aiohooks.prediction.supervisely.writing import CONFIDENCE, KEYPOINTS
from aiohooks.prediction.task import Task

ANY = "any"
"""The shape of a class whose objects have geometries of several kinds."""

_SHAPES = {
    Task.DETECTION: "rectangle",
    Task.ROTATED_DETECTION: "oriented_bbox",
    Task.INSTANCE_SEGMENTATION: "bitmap",
    Task.SEGMENTATION: "bitmap",
}
_GREY = "#808080"


class MetaLabels(NamedTuple):
    """What a meta says of a model's labels.

    Attributes:
        labels: classes, then tags that may be labels of a picture, then nodes of graphs.
        nodes: names of the nodes of graphs, by their keys.
    """

    labels: tuple[Label, ...]
    nodes: Mapping[str, str]


def model_meta(labels: Sequence[Label], task: Task | None) -> dict[str, Any]:
    """Return the meta of a model's predictions.

    Args:
        labels: what it can predict.
        task: what it does; None if only its predictions tell.
    """
    tags = [_tag_meta(CONFIDENCE[0], _GREY)]
    if task is Task.CLASSIFICATION:
        return {"classes": [], "tags": [*_label_tags(labels), *tags]}
    if task is Task.KEYPOINT_DETECTION:
        nodes = {label.name: {"label": label.name, "loc": [0, 0], "color": _color(label)} for label in labels}
        graph = _class_meta(KEYPOINTS, "graph", _GREY) | {"geometry_config": {"nodes": nodes, "edges": []}}
        return {"classes": [graph], "tags": [*tags, *_label_tags(labels)]}
    shape = ANY if task is None else _SHAPES.get(task, ANY)
    classes = [_class_meta(label.name, shape, _color(label)) for label in labels]
    return {"classes": classes, "tags": [*tags, *(_label_tags(labels) if shape == ANY else ())]}


def annotation_meta(annotations: Iterable[Mapping[str, Any]], labels: Iterable[Label] = ()) -> dict[str, Any]:
    """Return the smallest meta that annotations, as ``to_supervisely`` writes them, need.

    Args:
        annotations: what is in ``prediction["annotation"]``.
        labels: whose colours are known.
    """
    colors = {label.name: _color(label) for label in labels}
    classes: dict[str, dict[str, Any]] = {}
    tags: dict[str, dict[str, Any]] = {}
    for annotation in annotations:
        for item in annotation["objects"]:
            name, kind = item["classTitle"], item["geometryType"]
            known = classes.setdefault(name, _class_meta(name, kind, colors.get(name, _GREY)))
            if known["shape"] != kind:
                known["shape"] = ANY
            if kind == "graph":
                nodes = known["geometry_config"].setdefault("nodes", {})
                known["geometry_config"].setdefault("edges", [])
                nodes |= {node: {"label": node, "loc": [0, 0], "color": _GREY} for node in item["nodes"]}
        for item in [annotation, *annotation["objects"]]:
            for tag in item["tags"]:
                tags.setdefault(tag["name"], _tag_meta(tag["name"], colors.get(tag["name"], _GREY)))
    return {"classes": list(classes.values()), "tags": list(tags.values())}


def labels_of(meta: object) -> MetaLabels:
    """Return the labels that a meta names.

    Raises:
        SpecError: it is no meta; the message starts with the path to the spot.
    """
    data = object_at(meta, "meta")
    found: dict[str, Label] = {}
    nodes: dict[str, str] = {}
    for index, each in enumerate(list_at(data.get("classes") or [], "classes")):
        item, path = object_at(each, f"classes[{index}]"), f"classes[{index}]"
        if item.get("shape") == "graph":
            config = object_at(item.get("geometry_config") or {}, f"{path}.geometry_config")
            for key, node in object_at(config.get("nodes") or {}, f"{path}.geometry_config.nodes").items():
                name = object_at(node, f"{path}.geometry_config.nodes.{key}").get("label")
                nodes[key] = name if isinstance(name, str) and name else key
        else:
            _add(found, text_at(item, "title", path), item)
    for index, each in enumerate(list_at(data.get("tags") or [], "tags")):
        item = object_at(each, f"tags[{index}]")
        name, kind = text_at(item, "name", f"tags[{index}]"), item.get("value_type")
        if kind == "oneof_string":
            for value in list_at(item.get("values") or [], f"tags[{index}].values"):
                _add(found, str(value), {})
        elif name not in CONFIDENCE and kind in ("none", "any_number"):
            _add(found, name, item)
    for name in nodes.values():
        _add(found, name, {})
    return MetaLabels(tuple(found.values()), nodes)


def _add(found: dict[str, Label], name: str, item: Mapping[str, Any]) -> None:
    color: Any = item.get("color")
    has_color = isinstance(color, str) and color.startswith("#")
    found.setdefault(name, Label(name=name, color=color.lower()) if has_color else Label(name=name))


def _label_tags(labels: Sequence[Label]) -> list[dict[str, Any]]:
    return [_tag_meta(label.name, _color(label)) for label in labels if label.name not in CONFIDENCE]


def _class_meta(name: str, shape: str, color: str) -> dict[str, Any]:
    return {"title": name, "description": "", "shape": shape, "color": color, "geometry_config": {}, "hotkey": ""}


def _tag_meta(name: str, color: str) -> dict[str, Any]:
    return {
        "name": name,
        "value_type": "any_number",
        "color": color,
        "hotkey": "",
        "applicable_type": "all",
        "classes": [],
        "target_type": "all",
    }


def _color(label: Label) -> str:
    """Return ``#RRGGBB``: no transparency, which Supervisely does not take."""
    return label.color[:7].upper()
