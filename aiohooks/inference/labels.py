"""The label table of a model: from its metadata, from the user, or both."""

import colorsys
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.annotation import Label
from aiohooks.errors import LoadError

GivenLabels = Sequence[str | Label] | str | os.PathLike[str]
"""Names or labels in the order of the model's classes, or the path of a text file with one name per line."""

BACKGROUND = "otx_empty_lbl"
"""How Geti's models call the class that stands for nothing."""

_GOLDEN_RATIO = 0.618033988749895


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Which label a class number of the model stands for.

    Attributes:
        labels: ``labels[i]`` is the model's class ``first + i``.
        first: the lowest class number that has a label.
        extra: labels that the model never predicts but its project knows, such as Geti's "No object".
        all: the table of a prediction: what can be predicted, then the rest.
    """

    labels: tuple[Label, ...]
    first: int = 0
    extra: tuple[Label, ...] = ()
    all: tuple[Label, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "all", self.labels + self.extra)

    def locate(self, classes: NDArray[Any]) -> tuple[tuple[Label, ...], NDArray[np.int32]]:
        """Return the table and where in it these class numbers are; a class without a label is called ``#number``."""
        positions = np.asarray(classes, np.int32) - np.int32(self.first)
        missing = int(positions.max(initial=-1)) + 1 - len(self.labels)
        if missing <= 0:
            return self.all, positions
        return self.labels + unnamed(missing, start=len(self.labels)) + self.extra, positions


def color(index: int) -> str:
    """Return the color of the label at this position, ``#rrggbbff``: neighbours differ clearly, and it never changes."""
    # Steps of the golden ratio around the color circle never come close to where they have been before.
    saturation, value = ((0.75, 0.95), (0.9, 0.7), (0.5, 1.0))[index % 3]
    rgb = colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1, saturation, value)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb) + "ff"


def unnamed(count: int, start: int = 0) -> tuple[Label, ...]:
    """Return labels for classes of which only the number is known: ``#0``, ``#1`` and so on."""
    return tuple(Label(name=f"#{index}", color=color(index)) for index in range(start, start + count))


def read_labels(path: str | os.PathLike[str]) -> list[str]:
    """Return the names in a text file, one per line; empty lines at its end do not count.

    Raises:
        LoadError: it cannot be read, is not UTF-8 text or names nothing.
    """
    try:
        names = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(
            f"labels: cannot read {os.fspath(path)!r} (a text file with one name per line): {error}"
        ) from error
    if not names:
        raise LoadError(f"labels: {os.fspath(path)!r} is empty; it should hold one name per line")
    return names


def given_labels(given: GivenLabels) -> tuple[Label, ...]:
    """Return what the user gave as labels.

    Raises:
        LoadError: it is not a list of names and labels, nor a readable file.
    """
    if isinstance(given, str | os.PathLike):
        given = read_labels(given)
    labels = []
    for index, label in enumerate(given):
        if not isinstance(label, str | Label):
            raise LoadError(f"labels: expected names or Label objects, got {type(label).__name__} at position {index}")
        labels.append(Label(name=label, color=color(index)) if isinstance(label, str) else label)
    return tuple(labels)


def metadata_labels(info: Mapping[str, str]) -> tuple[Label, ...]:
    """Return the labels in Model API's metadata, in the order of the model's classes, with their true names.

    ``labels`` separates names by spaces and writes a space inside a name as ``_``; ``label_info`` has the names as they are.
    """
    tokens = info.get("labels", "").split()
    ids = info.get("label_ids", "").split()
    true_names = {_token(name): name for name in _label_info_names(info.get("label_info", ""))}
    if len(ids) != len(tokens):
        ids = [""] * len(tokens)
    # The class for nothing takes no color, so that the others have the same ones with and without it.
    shift = 1 if tokens[:1] == [BACKGROUND] else 0
    return tuple(
        Label(
            name=true_names.get(token, token), id=id_, color=color(max(index - shift, 0)), is_empty=token == BACKGROUND
        )
        for index, (token, id_) in enumerate(zip(tokens, ids, strict=True))
    )


def combined(known: tuple[Label, ...], given: tuple[Label, ...]) -> LabelTable:
    """Return the table of a model that knows its labels and is given some.

    Labels with ids (a project's) are found by id, else by name, in any order; one that the project no longer has keeps its
    own name. Names go by position.

    Raises:
        LoadError: names are given, and not as many as the model has.
    """
    empty = tuple(label for label in given if label.is_empty)
    rest = tuple(label for label in given if not label.is_empty)
    if not known:
        return LabelTable(rest, extra=empty)
    if all(label.id for label in given):
        by_id = {label.id: label for label in given}
        by_name = {_token(label.name): label for label in given}
        found = []
        for label in known:
            substitute = empty[0] if label.is_empty and empty else label
            found.append(by_id.get(label.id) or by_name.get(_token(label.name)) or substitute)
        return LabelTable(tuple(found), extra=tuple(label for label in empty if label not in found))
    if len(rest) != len(known):
        raise LoadError(
            f"labels: the model's metadata names {len(known)} ({listed(known)}), {len(rest)} were given ({listed(rest)})"
        )
    return LabelTable(rest, extra=empty)


def listed(labels: Sequence[Label], most: int = 5) -> str:
    """Return the first names for a message."""
    names = [label.name for label in labels[:most]]
    return ", ".join([*names, "…"] if len(labels) > most else names)


def _token(name: str) -> str:
    return name.replace(" ", "_")


def _label_info_names(text: str) -> list[str]:
    try:
        names = json.loads(text)["label_names"]
    except (ValueError, KeyError, TypeError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
