"""What a model says about one picture, as objects: labels and the shapes they belong to.

The shapes carry the field names and tags of Geti's annotation JSON, so that encoding them is the format.
"""

import msgspec


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """A class that a model can predict.

    Attributes:
        name: as people read it.
        color: ``#rrggbb`` or ``#rrggbbaa``.
        id: identity in the project that the model was trained in; may be empty.
        group: exclusive labels share a group.
        parent_id: id of the parent in a label tree; may be empty.
        is_empty: says that there is nothing in the picture.
        is_anomalous: says that something is wrong in the picture.
    """

    name: str
    color: str = "#00c7fdff"
    id: str = ""
    group: str = ""
    parent_id: str = ""
    is_empty: bool = False
    is_anomalous: bool = False


class ScoredLabel(msgspec.Struct, frozen=True):
    """A label with its probability in 0–1."""

    label: Label
    probability: float

    @property
    def name(self) -> str:
        """Name of the label."""
        return self.label.name


class Rectangle(msgspec.Struct, frozen=True, tag="RECTANGLE", tag_field="type"):
    """An upright box: its top left corner and size, in pixels."""

    x: float
    y: float
    width: float
    height: float


class Ellipse(msgspec.Struct, frozen=True, tag="ELLIPSE", tag_field="type"):
    """An upright ellipse, by the top left corner and size of its bounding box, in pixels."""

    x: float
    y: float
    width: float
    height: float


class RotatedRectangle(msgspec.Struct, frozen=True, tag="ROTATED_RECTANGLE", tag_field="type"):
    """A turned box: centre and size in pixels, angle in degrees, clockwise on the screen."""

    angle: float
    x: float
    y: float
    width: float
    height: float


class Point(msgspec.Struct, frozen=True):
    """A position in pixels."""

    x: float
    y: float


class Polygon(msgspec.Struct, frozen=True, tag="POLYGON", tag_field="type"):
    """A closed outline through its points, in pixels."""

    points: tuple[Point, ...]


class Keypoint(msgspec.Struct, frozen=True, tag="KEYPOINT", tag_field="type"):
    """A named point of a body or thing, in pixels."""

    x: float
    y: float
    is_visible: bool = True


Shape = Rectangle | Ellipse | RotatedRectangle | Polygon | Keypoint


class Annotation(msgspec.Struct, frozen=True):
    """One object: its shape and what it is."""

    shape: Shape
    labels: tuple[ScoredLabel, ...]

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of its labels, in order."""
        return tuple(scored.label.name for scored in self.labels)
