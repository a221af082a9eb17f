"""A random forest as arrays: scikit-learn grows it, numpy asks it."""

import importlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import SpecError
from aiohooks.monitors.ood.batch import Doubles, Floats

_TREES = 100


@dataclass(frozen=True, eq=False)
class Forest:
    """Decision trees; each has a column of every array, filled up to the size of the largest.

    Attributes:
        column: M×T, which number a node looks at; −1 at a leaf.
        threshold: M×T; numbers up to it go left.
        left: M×T, node.
        right: M×T, node.
        value: M×T, share of the second class among what reached the node.
        depth: of the deepest tree.
    """

    column: NDArray[np.int32]
    threshold: Doubles
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Doubles
    depth: int

    @classmethod
    def grow(cls, first: Doubles, second: Doubles, *, seed: int) -> Self:
        """Learn to tell rows of one kind from rows of another; each kind weighs the same.

        Raises:
            SpecError: scikit-learn is not installed.
        """
        try:
            ensemble: Any = importlib.import_module("sklearn.ensemble")
        except ImportError as error:
            raise SpecError(
                f"COOD's random forest is grown with scikit-learn, which cannot be imported ({error}): "
                "pip install 'aiohooks[sklearn]'; a model that is fitted needs it no more"
            ) from error
        forest = ensemble.RandomForestClassifier(_TREES, class_weight="balanced", random_state=seed)
        kinds = np.repeat([0, 1], [len(first), len(second)])
        forest.fit(np.concatenate([first, second]).astype(np.float32), kinds)
        trees = [each.tree_ for each in forest.estimators_]
        nodes = max(tree.node_count for tree in trees)

        def column(values: list[Any], dtype: type[Any]) -> NDArray[Any]:
            filled = np.zeros((nodes, len(trees)), dtype)
            for number, each in enumerate(values):
                filled[: len(each), number] = each
            return filled

        shares = [tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1) for tree in trees]
        return cls(
            column([np.where(tree.children_left < 0, -1, tree.feature) for tree in trees], np.int32),
            column([tree.threshold for tree in trees], np.float64),
            column([tree.children_left for tree in trees], np.int32),
            column([tree.children_right for tree in trees], np.int32),
            column(shares, np.float64),
            max(int(tree.max_depth) for tree in trees),
        )

    def __call__(self, rows: Doubles) -> Doubles:
        """Return N means over the trees of the share of the second class."""
        numbers: Floats = rows.astype(np.float32)
        trees = np.arange(self.column.shape[1])
        frames = np.arange(len(rows))[:, None]
        node = np.zeros((len(rows), len(trees)), np.int32)
        for _ in range(self.depth):
            column = self.column[node, trees]
            left = numbers[frames, column] <= self.threshold[node, trees]
            below = np.where(left, self.left[node, trees], self.right[node, trees])
            node = np.where(column < 0, node, below)
        mean: Doubles = self.value[node, trees].mean(axis=1)
        return mean
