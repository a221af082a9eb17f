"""The table of labels that a model can predict: made from names, searched by name or id."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiohooks.annotation import Label


def from_names(labels: Sequence[Label] | Sequence[str]) -> tuple[Label, ...]:
    """Return a label table from labels or names."""
    if type(labels) is tuple and labels and type(labels[0]) is Label:
        return labels
    return tuple(Label(name=label) if isinstance(label, str) else label for label in labels)


def positions(values: Sequence[int | str] | NDArray[Any], labels: tuple[Label, ...]) -> NDArray[np.int32]:
    """Return positions in the label table as int32 (M,), from numbers of any type or names.

    Raises:
        ValueError: a name is not in the table, or a number is not whole.
    """
    if not isinstance(values, np.ndarray) or values.dtype.kind == "U":
        values = np.array([_position(value, labels) if isinstance(value, str) else value for value in values])
    if values.dtype == np.int32:
        return values
    with np.errstate(invalid="ignore"):
        indices = values.astype(np.int32)
    if (indices != values).any():
        raise ValueError(f"label_indices: expected whole numbers, got {values.tolist()}")
    return indices


def _position(name: str, labels: tuple[Label, ...]) -> int:
    for i, label in enumerate(labels):
        if label.name == name:
            return i
    raise ValueError(
        f"label_indices: {name!r} is not a label; there are: {', '.join(label.name for label in labels) or 'none'}"
    )


class Lookup:
    """Finds labels in a table by id, else by name, and adds those that are missing.

    Attributes:
        labels: the table.
    """

    def __init__(self, labels: Iterable[Label]) -> None:
        self.labels: list[Label] = []
        self._by_id: dict[str, int] = {}
        self._by_name: dict[str, int] = {}
        for label in labels:
            self._add(label)

    def index(self, label: Label) -> int:
        """Return the position of a label."""
        found = self._by_id.get(label.id) if label.id else None
        if found is None:
            found = self._by_name.get(label.name)
        return self._add(label) if found is None else found

    def _add(self, label: Label) -> int:
        position = len(self.labels)
        self.labels.append(label)
        self._by_name.setdefault(label.name, position)
        if label.id:
            self._by_id.setdefault(label.id, position)
        return position
