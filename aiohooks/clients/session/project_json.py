"""What goes into a project on the platform: its meta with ours merged in, and annotations against it."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from aiohooks.errors import SpecError
from aiohooks.prediction.json_fields import list_at, object_at
from aiohooks.prediction.supervisely.meta import ANY


def merged_meta(project: object, needed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the meta of a project with the classes and tags that it lacks.

    A class that has another shape there takes any shape from then on; what is there stays as it is otherwise, with its ids.

    Args:
        project: its meta.
        needed: the meta that annotations need.

    Raises:
        SpecError: the project's meta is none, or it has a tag of another kind under the same name.
    """
    merged: dict[str, Any] = deepcopy(dict(object_at(project, "meta")))
    classes = [dict(object_at(each, "classes")) for each in list_at(merged.get("classes") or [], "classes")]
    tags = [dict(object_at(each, "tags")) for each in list_at(merged.get("tags") or [], "tags")]
    for wanted in needed["classes"]:
        there = _named(classes, "title", wanted["title"])
        if there is None:
            classes.append(deepcopy(wanted))
        elif there.get("shape") not in (wanted["shape"], ANY):
            there["shape"] = ANY
    for wanted in needed["tags"]:
        there = _named(tags, "name", wanted["name"])
        if there is None:
            tags.append(deepcopy(wanted))
        elif there.get("value_type") != wanted["value_type"]:
            raise SpecError(
                f"the tag {wanted['name']!r} of the project has values of the kind {there.get('value_type')}; "
                f"predictions need {wanted['value_type']}: rename it there, or choose another project"
            )
    return {**merged, "classes": classes, "tags": tags}


def platform_annotation(annotation: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return an annotation as a project keeps it: with the ids of its classes, and corners between pixels, not on them.

    Args:
        annotation: what is in ``prediction["annotation"]``.
        meta: of the project, as the platform returned it.

    Raises:
        SpecError: the meta lacks a class of it.
    """
    written = deepcopy(dict(annotation))
    for item in written["objects"]:
        known = _named(list_at(meta.get("classes") or [], "classes"), "title", item["classTitle"])
        if known is None:
            raise SpecError(f"the project has no class {item['classTitle']!r} after its meta was updated")
        if known.get("id") is not None:
            item["classId"] = known["id"]
        match item["geometryType"]:
            case "rectangle":
                item["points"]["exterior"] = _ends_behind(item["points"]["exterior"])
            case "oriented_bbox":
                item["points"] = _ends_behind(item["points"])
            case "polygon" | "point":
                item["points"]["exterior"] = [[x + 0.5, y + 0.5] for x, y in item["points"]["exterior"]]
            case "graph":
                for node in item["nodes"].values():
                    node["loc"] = [coordinate + 0.5 for coordinate in node["loc"]]
    return written


def _ends_behind(corners: list[list[float]]) -> list[list[float]]:
    (left, top), (right, bottom) = corners
    return [[left, top], [right + 1, bottom + 1]]


def _named(items: Any, key: str, name: str) -> Any:
    return next((item for item in items if item.get(key) == name), None)
