"""What a model found in one frame: one value over arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from msgspec import structs
from numpy.typing import ArrayLike, NDArray

from aiohooks import shapes
from aiohooks.annotation import Annotation, Label, ScoredLabel
from aiohooks.frame import Frame
from aiohooks.prediction import arrays, geti_json, label_table
from aiohooks.prediction.supervisely import reading as supervisely
from aiohooks.prediction.supervisely.writing import to_supervisely
from aiohooks.prediction.task import Task, told_by

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Prediction:
    """N objects with M labels between them; M > N where an object has several labels. Arrays are read-only.

    Attributes:
        task: what the model does.
        size: height and width of the frame in pixels.
        labels: the model's label table.
        boxes: float32 (N, 4), x1, y1, x2, y2 in pixels of the frame. A classified picture is one object, the whole frame.
        scores: float32 (M,), in 0–1.
        label_indices: int32 (M,), positions in ``labels``.
        object_indices: int32 (M,), which of the N objects each score belongs to; one score per object if left out.
        masks: uint8 (N, height, width), 1 inside the object, 0 outside.
        polygons: outline of each object, float32 (K, 2) of x, y in pixels, or None.
        rotated_boxes: float32 (N, 5), centre x, centre y, width, height in pixels and angle in degrees, clockwise on the
            screen. A row of NaN: this object has none.
        keypoints: float32 (N, 3), x, y in pixels and score in 0–1; each point is one object. A row of NaN: this object is none.
        label_map: uint8 (height, width), label of each pixel: 0 is background, i + 1 stands for ``labels[i]``.
        heat_map: float32 in 0–1 or uint8 in 0–255 (height, width), how anomalous each pixel is.
        class_scores: float32 (C,), scores of all classes, after softmax or sigmoid.
        feature_vector: float32 (D,), the model's embedding of the frame.
        saliency_maps: uint8 (C, h, w), what each class was seen in, at the model's own resolution.
        ood_score: how unlike the training data the frame is, in 0–1, near 1 out of distribution; None if no `OODModel` was
            attached.

    Raises:
        ValueError: an array has the wrong type or shape, an index is out of range, a score is outside 0–1 or a box is not finite.
    """

    task: Task
    size: tuple[int, int]
    labels: tuple[Label, ...]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    label_indices: NDArray[np.int32]
    object_indices: NDArray[np.int32] = None  # type: ignore[assignment]  # never None after __post_init__
    masks: NDArray[np.uint8] | None = None
    polygons: tuple[NDArray[np.float32] | None, ...] | None = None
    rotated_boxes: NDArray[np.float32] | None = None
    keypoints: NDArray[np.float32] | None = None
    label_map: NDArray[np.uint8] | None = None
    heat_map: NDArray[np.float32] | NDArray[np.uint8] | None = None
    class_scores: NDArray[np.float32] | None = None
    feature_vector: NDArray[np.float32] | None = None
    saliency_maps: NDArray[np.uint8] | None = None
    ood_score: float | None = None
    _annotations: tuple[Annotation, ...] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        keep = object.__setattr__
        if len(self.size) != 2:
            raise ValueError(f"size: expected height and width in pixels, got {self.size}")
        n, m = arrays.length(self.boxes), arrays.length(self.scores)
        keep(self, "boxes", arrays.checked("boxes", self.boxes, (np.float32,), (n, 4)))
        keep(self, "scores", arrays.checked("scores", self.scores, (np.float32,), (m,)))
        keep(self, "label_indices", arrays.checked("label_indices", self.label_indices, (np.int32,), (m,)))
        arrays.check_values(self.boxes, self.scores)
        arrays.check_indices("label_indices", self.label_indices, len(self.labels), "labels")
        object_indices = cast("NDArray[np.int32] | None", self.object_indices)
        if object_indices is None:
            if m != n:
                raise ValueError(f"object_indices: must be given, there are {m} scores for {n} objects (rows of boxes)")
            object_indices = np.arange(m, dtype=np.int32)
        keep(self, "object_indices", arrays.checked("object_indices", object_indices, (np.int32,), (m,)))
        arrays.check_indices("object_indices", self.object_indices, n, "objects (rows of boxes)")
        if self.polygons is not None:
            keep(self, "polygons", arrays.checked_polygons(self.polygons, n))
        if self.ood_score is not None and not 0 <= self.ood_score <= 1:
            raise ValueError(f"ood_score: expected a number from 0 to 1, got {self.ood_score!r}")
        keep(self, "labels", tuple(self.labels))
        for name in arrays.OPTIONAL:
            array = getattr(self, name)
            if array is not None:
                keep(self, name, arrays.checked_optional(name, array, n, self.size))

    @classmethod
    def empty(cls, task: Task, size: tuple[int, int], labels: Sequence[Label] | Sequence[str]) -> Prediction:
        """Return the prediction of a model that found nothing."""
        none = np.empty(0, np.int32)
        return cls(
            task=Task(task),
            size=size,
            labels=label_table.from_names(labels),
            boxes=np.empty((0, 4), np.float32),
            scores=np.empty(0, np.float32),
            label_indices=none,
            object_indices=none,
        )

    @classmethod
    def classification(
        cls,
        size: tuple[int, int],
        labels: Sequence[Label] | Sequence[str],
        scores: ArrayLike,
        label_indices: Sequence[int | str] | NDArray[Any],
        *,
        class_scores: ArrayLike | None = None,
        feature_vector: ArrayLike | None = None,
        saliency_maps: ArrayLike | None = None,
    ) -> Prediction:
        """Return what a classifier says about a whole picture: one label, several, or none.

        Args:
            size: height and width of the frame in pixels.
            labels: the label table, as labels or names.
            scores: of the labels that were found, in 0–1.
            label_indices: which labels these are, by position in ``labels`` or by name.
            class_scores: scores of all labels of the table.
            feature_vector: the model's embedding; any shape, flattened.
            saliency_maps: what each class was seen in, (C, h, w) in 0–255.

        Raises:
            ValueError: an argument has the wrong shape, or a label is not in the table.
        """
        table = label_table.from_names(labels)
        indices = label_table.positions(label_indices, table)
        frame = np.array([[0, 0, size[1], size[0]]], np.float32)
        return cls(
            task=Task.CLASSIFICATION,
            size=size,
            labels=table,
            boxes=frame if len(indices) else frame[:0],
            scores=np.asarray(scores, np.float32),
            label_indices=indices,
            object_indices=np.zeros(len(indices), np.int32),
            class_scores=arrays.copied(class_scores, np.float32),
            feature_vector=arrays.copied(feature_vector, np.float32, flat=True),
            saliency_maps=arrays.copied(saliency_maps, np.uint8),
        )

    @classmethod
    def detection(
        cls,
        size: tuple[int, int],
        labels: Sequence[Label] | Sequence[str],
        boxes: ArrayLike,
        scores: ArrayLike,
        label_indices: Sequence[int | str] | NDArray[Any],
        *,
        feature_vector: ArrayLike | None = None,
        saliency_maps: ArrayLike | None = None,
    ) -> Prediction:
        """Return what a detector found: boxes, clipped to the picture, with one label each.

        Args:
            size: height and width of the frame in pixels.
            labels: the label table, as labels or names.
            boxes: (N, 4), x1, y1, x2, y2 in pixels of the frame.
            scores: (N,), in 0–1.
            label_indices: (N,), the label of each box, by position in ``labels`` or by name.
            feature_vector: the model's embedding; any shape, flattened.
            saliency_maps: what each class was seen in, (C, h, w) in 0–255.

        Raises:
            ValueError: an argument has the wrong shape, a box has x2 < x1 or y2 < y1, or a label is not in the table.
        """
        table = label_table.from_names(labels)
        return cls(
            task=Task.DETECTION,
            size=size,
            labels=table,
            boxes=arrays.clipped(boxes, size),
            scores=np.asarray(scores, np.float32),
            label_indices=label_table.positions(label_indices, table),
            feature_vector=arrays.copied(feature_vector, np.float32, flat=True),
            saliency_maps=arrays.copied(saliency_maps, np.uint8),
        )

    @classmethod
    def from_annotations(
        cls,
        annotations: Sequence[Annotation],
        *,
        size: tuple[int, int] | None = None,
        labels: Sequence[Label] | None = None,
        task: Task | None = None,
    ) -> Prediction:
        """Return the prediction that holds these annotations.

        Args:
            annotations: one for each object.
            size: height and width of the frame in pixels; left out, the smallest that holds all shapes.
            labels: the label table. An annotation's label is found in it by id, else by name; what is missing is added.
            task: what the model does; left out, it is derived from the shapes.
        """
        rows = shapes.to_rows(
            [annotation.shape for annotation in annotations],
            [max((scored.probability for scored in annotation.labels), default=0.0) for annotation in annotations],
        )
        if size is None:
            right, bottom = rows.boxes[:, 2:].max(axis=0, initial=1).tolist()
            size = math.ceil(bottom), math.ceil(right)
        table = label_table.Lookup(labels or ())
        assigned = [(i, scored) for i, annotation in enumerate(annotations) for scored in annotation.labels]
        indices = np.array([table.index(scored.label) for _, scored in assigned], np.int32)
        return cls(
            task=Task(task) if task is not None else told_by(rows, tuple(table.labels), size),
            size=size,
            labels=tuple(table.labels),
            scores=np.array([scored.probability for _, scored in assigned], np.float32),
            label_indices=indices,
            object_indices=np.array([i for i, _ in assigned], np.int32),
            **rows._asdict(),
        )

    @classmethod
    def from_geti(
        cls,
        data: object,
        *,
        size: tuple[int, int] | None = None,
        labels: Sequence[Label] | None = None,
        task: Task | None = None,
    ) -> Prediction:
        """Return the prediction in Geti's JSON form; unknown keys and ``maps`` are ignored, an ellipse becomes a polygon.

        Args:
            data: the decoded JSON.
            size: height and width of the frame in pixels; left out, the smallest that holds all shapes.
            labels: the label table; left out, it holds the labels that occur.
            task: what the model does; left out, it is derived from the shapes.

        Raises:
            SpecError: ``data`` is not in Geti's form; the message names the spot.
        """
        annotations = geti_json.from_geti(data)
        prediction = cls.from_annotations(annotations, size=size, labels=labels, task=task)
        if not geti_json.says_nothing(annotations, labels or ()):
            return prediction
        table = list(prediction.labels)
        nothing = int(prediction.label_indices[0])
        table[nothing] = structs.replace(table[nothing], is_empty=True)
        return cls.empty(prediction.task, prediction.size, table)

    @classmethod
    def from_supervisely(
        cls,
        data: object,
        *,
        labels: Sequence[Label] | None = None,
        task: Task | None = None,
        nodes: Mapping[str, str] | None = None,
    ) -> Prediction:
        """Return the prediction in the JSON form of Supervisely's served models.

        Unknown keys, holes of polygons and tags that are no labels are ignored. An object without a tag of its score has the score 1.

        Args:
            data: the decoded JSON: a prediction, or the annotation in it.
            labels: the label table; what is missing is added.
            task: what the model does; left out, it is derived from the geometries.
            nodes: names of the nodes of graphs by their keys, where the model's meta gives them others.

        Raises:
            SpecError: ``data`` is not in this form; the message names the spot.
        """
        found = supervisely.read(data, labels=labels or (), nodes=nodes)
        made = cls.from_annotations(found.annotations, size=found.size, labels=labels, task=task)
        if found.ood_score is not None:
            made = replace(made, ood_score=found.ood_score)
        boxes = supervisely.boxes_around(found.masks, made.boxes)
        if task is Task.SEGMENTATION:
            label_of = dict(zip(made.object_indices.tolist(), made.label_indices.tolist(), strict=True))
            return replace(made, boxes=boxes, label_map=supervisely.merged(found.masks, label_of, made.size))
        if not found.masks:
            return made
        return replace(made, boxes=boxes, masks=supervisely.stacked(found.masks, boxes, made.size))

    def __repr__(self) -> str:
        found = ", ".join(
            f"{name} {score:.2f}" for name, score in zip(self.label_names, self.scores.tolist(), strict=True)
        )
        height, width = self.size
        return f"Prediction({self.task}, {width}×{height}, {found or 'nothing found'})"

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """The objects one by one: each with its shape (rotated box, else polygon, else keypoint, else box) and labels."""
        if self._annotations is None:
            rows = shapes.ShapeRows(self.boxes, self.polygons, self.rotated_boxes, self.keypoints)
            labels: list[list[ScoredLabel]] = [[] for _ in range(len(self))]
            for object_index, label_index, score in zip(
                self.object_indices.tolist(), self.label_indices.tolist(), self.scores.tolist(), strict=True
            ):
                labels[object_index].append(ScoredLabel(self.labels[label_index], score))
            found = tuple(
                Annotation(shape, tuple(own)) for shape, own in zip(shapes.from_rows(rows), labels, strict=True)
            )
            object.__setattr__(self, "_annotations", found)
            return found
        return self._annotations

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the M labels that were found, in order."""
        return tuple([self.labels[i].name for i in self.label_indices.tolist()])

    @property
    def top(self) -> ScoredLabel | None:
        """The label with the highest score; None if nothing was found."""
        if not len(self.scores):
            return None
        best = int(self.scores.argmax())
        return ScoredLabel(self.labels[self.label_indices[best]], float(self.scores[best]))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found: there is no object, or every label says that there is nothing."""
        if not len(self):
            return True
        found = self.label_indices.tolist()
        return bool(found) and all(self.labels[i].is_empty for i in found)

    def filter(self, *, labels: str | Iterable[str] | None = None, min_score: float | None = None) -> Prediction:
        """Return the objects with a matching label, and of their labels only those that match.

        What belongs to the picture as a whole stays as it is; of ``label_map`` only the wanted labels stay.

        Args:
            labels: names of the wanted labels; left out, all.
            min_score: lowest wanted score in 0–1.
        """
        if labels is None and min_score is None:
            return self
        kept = np.ones(len(self.scores), np.bool_)
        label_map = self.label_map
        if labels is not None:
            names = {labels} if isinstance(labels, str) else set(labels)
            wanted = np.array([label.name in names for label in self.labels], np.bool_)
            kept &= wanted[self.label_indices]
            if label_map is not None:
                label_map = arrays.only(label_map, wanted)
        if min_score is not None:
            kept &= self.scores >= min_score
        objects, object_indices = np.unique(self.object_indices[kept], return_inverse=True)
        return replace(
            self,
            boxes=self.boxes[objects],
            scores=self.scores[kept],
            label_indices=self.label_indices[kept],
            object_indices=object_indices.astype(np.int32),
            masks=None if self.masks is None else self.masks[objects],
            polygons=None if self.polygons is None else tuple(self.polygons[i] for i in objects.tolist()),
            rotated_boxes=None if self.rotated_boxes is None else self.rotated_boxes[objects],
            keypoints=None if self.keypoints is None else self.keypoints[objects],
            label_map=label_map,
        )

    def to_geti(self) -> dict[str, Any]:
        """Return Geti's JSON form, of plain Python values.

        Where nothing was found, this is the table's ``is_empty`` label over the whole frame with probability 0, if it has one.
        """
        return geti_json.to_geti(self.annotations, size=self.size, labels=self.labels)

    def to_supervisely(self) -> dict[str, Any]:
        """Return the JSON form of Supervisely's served models, of plain Python values; masks take some milliseconds.

        A classified picture has tags, other tasks have objects. Of an object with several labels the one with the highest score is
        its class, the others are tags.
        """
        return to_supervisely(
            self.annotations,
            size=self.size,
            task=self.task,
            labels=self.labels,
            masks=self.masks,
            label_map=self.label_map,
            ood_score=self.ood_score,
        )

    def draw(self, frame: Frame | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a copy of the picture with the prediction drawn on it; takes some milliseconds.

        Args:
            frame: the frame, or its pixels: RGB, uint8, H×W×3.

        Raises:
            FrameError: the pixels are not RGB uint8 of shape H×W×3.
            ValueError: the picture has another size than that of the prediction.
        """
        from aiohooks.drawing import draw_annotations  # loads OpenCV and Pillow

        image = (frame if isinstance(frame, Frame) else Frame(frame)).image
        if image.shape[:2] != tuple(self.size):
            raise ValueError(
                f"cannot draw on a picture of {image.shape[1]}×{image.shape[0]} pixels: the prediction is about one of "
                f"{self.size[1]}×{self.size[0]}; pass the frame that was inferred"
            )
        return draw_annotations(
            image,
            self.annotations,
            masks=self.masks,
            label_map=self.label_map,
            heat_map=self.heat_map,
            labels=self.labels,
        )

    def to_supervision(self) -> supervision.Detections:
        """Return ``supervision.Detections``: one row for each object that has a label, with its label of the highest score.

        ``data`` holds ``class_name``, and ``xyxyxyxy`` for rotated boxes. Without masks, polygons are filled to be masks.

        Raises:
            ImportError: the package is missing; the extra ``aiohooks[supervision]`` brings it.
        """
        from aiohooks.prediction.supervision import to_detections  # loads supervision

        return to_detections(self.annotations, masks=self.masks, labels=self.labels, size=self.size)
