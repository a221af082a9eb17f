"""What a Geti server answers. What is not needed here is left out, and what is new in it ignored."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from aiohooks.annotation import Label

UNTRAINABLE = frozenset({"dataset", "crop"})
"""Types of tasks that have no model."""


class ProductInfo(msgspec.Struct, frozen=True):
    """Versions of a Geti server; empty where it does not tell."""

    product_version: str = msgspec.field(default="", name="product-version")
    build_version: str = msgspec.field(default="", name="build-version")


class Organization(msgspec.Struct, frozen=True, rename="camel"):
    """An organisation that a token belongs to."""

    organization_id: str
    organization_created_at: str = ""


class Organizations(msgspec.Struct, frozen=True, rename="camel"):
    """The organisations of a token: before Geti 2.5 the id of one, since then a list."""

    organization_id: str | None = None
    organizations: tuple[Organization, ...] = ()


class Workspace(msgspec.Struct, frozen=True):
    """Where projects live."""

    id: str
    name: str = ""


class Workspaces(msgspec.Struct, frozen=True):
    """All workspaces of an organisation."""

    workspaces: tuple[Workspace, ...]


class Dataset(msgspec.Struct, frozen=True):
    """A dataset of a project.

    Attributes:
        id: identity.
        name: as people read it.
        use_for_training: whether the project trains with it.
        creation_time: in ISO 8601.
        project_id: the project.
    """

    id: str
    name: str = ""
    use_for_training: bool | None = None
    creation_time: str | None = None
    project_id: str = ""


class Datasets(msgspec.Struct, frozen=True):
    """All datasets of a project."""

    datasets: tuple[Dataset, ...]


class ProjectLabel(msgspec.Struct, frozen=True):
    """A label of a project."""

    id: str
    name: str
    color: str = ""
    group: str | None = None
    parent_id: str | None = None
    is_empty: bool | None = None
    is_anomalous: bool | None = None


class Task(msgspec.Struct, frozen=True):
    """A task of a project; crop tasks and datasets have no model."""

    id: str
    title: str = ""
    task_type: str = ""
    labels: tuple[ProjectLabel, ...] | None = None


class Pipeline(msgspec.Struct, frozen=True):
    """The tasks of a project, in their order."""

    tasks: tuple[Task, ...] = ()


class Project(msgspec.Struct, frozen=True):
    """A project.

    Attributes:
        id: identity.
        name: as people read it; several may have the same.
        creation_time: in ISO 8601.
        pipeline: its tasks.
    """

    id: str
    name: str
    creation_time: str | None = None
    pipeline: Pipeline = Pipeline()

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that have a model, in their order."""
        return tuple(task for task in self.pipeline.tasks if task.task_type not in UNTRAINABLE)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of all tasks."""
        labels: dict[str, Label] = {}
        for task in self.pipeline.tasks:
            for label in task.labels or ():
                labels.setdefault(
                    label.id,
                    Label(
                        name=label.name,
                        id=label.id,
                        group=label.group or "",
                        parent_id=label.parent_id or "",
                        is_empty=bool(label.is_empty),
                        is_anomalous=bool(label.is_anomalous),
                        **({"color": label.color} if label.color else {}),
                    ),
                )
        return tuple(labels.values())


class ProjectsPage(msgspec.Struct, frozen=True):
    """Some of the projects of a workspace, and how many there are."""

    projects: tuple[Project, ...]
    project_counts: int | None = None


class PurgeInfo(msgspec.Struct, frozen=True):
    """Whether the weights of a model were deleted."""

    is_purged: bool | None = None


class ModelSummary(msgspec.Struct, frozen=True):
    """A trained model, as a group lists it."""

    id: str
    name: str = ""
    creation_date: str | None = None
    active_model: bool | None = None
    purge_info: PurgeInfo | None = None

    @property
    def is_there(self) -> bool:
        """Whether its weights have not been deleted."""
        return self.purge_info is None or not self.purge_info.is_purged


class ModelGroup(msgspec.Struct, frozen=True):
    """The models of one architecture for one task."""

    id: str
    name: str = ""
    task_id: str | None = None
    models: tuple[ModelSummary, ...] = ()


class ModelGroups(msgspec.Struct, frozen=True):
    """All groups of models of a project."""

    model_groups: tuple[ModelGroup, ...]


class OptimizedModel(msgspec.Struct, frozen=True):
    """A trained model in a form to deploy.

    Attributes:
        id: identity.
        name: as people read it.
        model_group_id: the group of the model that it was made of.
        optimization_type: ``MO``, ``POT``, ``NNCF`` or ``ONNX``.
        precision: such as ``FP16`` or ``INT8``.
        has_xai_head: whether it explains its predictions.
        model_status: ``SUCCESS`` where it is ready.
        creation_date: in ISO 8601.
        purge_info: whether its weights were deleted.
    """

    id: str
    name: str = ""
    model_group_id: str | None = None
    optimization_type: str = ""
    precision: tuple[str, ...] | None = None
    has_xai_head: bool | None = None
    model_status: str | None = None
    creation_date: str | None = None
    purge_info: PurgeInfo | None = None


class TrainedModel(msgspec.Struct, frozen=True):
    """A trained model with its optimised forms.

    Attributes:
        id: identity.
        name: as people read it.
        architecture: of the network.
        creation_date: in ISO 8601.
        optimized_models: forms to deploy.
        model_group_id: the group it belongs to.
        task_id: the task it was trained for.
        is_active: whether Geti itself predicts with it.
    """

    id: str
    name: str = ""
    architecture: str = ""
    creation_date: str | None = None
    optimized_models: tuple[OptimizedModel, ...] = ()
    model_group_id: str | None = None
    task_id: str | None = None
    is_active: bool = False


class PictureInformation(msgspec.Struct, frozen=True):
    """Size of a picture in pixels and bytes."""

    width: int | None = None
    height: int | None = None
    size: int | None = None


class Picture(msgspec.Struct, frozen=True):
    """A picture in a dataset.

    Attributes:
        id: identity.
        name: of the file it came from, without its suffix; several may have the same.
        type: ``image``.
        upload_time: in ISO 8601.
        media_information: its size.
        project_id: the project.
        dataset_id: the dataset.
        label_names: of the labels that people gave it, each once; None unless they were asked for.
    """

    id: str
    name: str = ""
    type: str = "image"
    upload_time: str | None = None
    media_information: PictureInformation | None = None
    project_id: str = ""
    dataset_id: str = ""
    label_names: tuple[str, ...] | None = None


class PicturesPage(msgspec.Struct, frozen=True):
    """Some of the pictures of a dataset, and where the next ones are."""

    media: tuple[Picture, ...]
    total_matched_images: int | None = None
    next_page: str | None = None


class GivenLabel(msgspec.Struct, frozen=True):
    """A label of an annotation, by its id."""

    id: str


class GivenAnnotation(msgspec.Struct, frozen=True):
    """One thing that people have marked in a picture."""

    labels: tuple[GivenLabel, ...] = ()


class GivenAnnotations(msgspec.Struct, frozen=True):
    """All that people have marked in a picture."""

    annotations: tuple[GivenAnnotation, ...] = ()


class Problem(msgspec.Struct, frozen=True):
    """What went wrong, in Geti's words."""

    message: str | None = None
    error_code: str | None = None


def default_organization(answer: Organizations) -> str | None:
    """Return the id of the organisation, of several the one that was made first; None if there is none."""
    if answer.organization_id:
        return answer.organization_id
    by_age = sorted(answer.organizations, key=lambda one: moment(one.organization_created_at))
    return by_age[0].organization_id if by_age else None


def moment(text: str | None) -> datetime:
    """Return a time in ISO 8601 as an aware datetime; what cannot be read is the earliest."""
    try:
        time = datetime.fromisoformat(text or "")
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def decode(data: bytes, kind: Any) -> Any:
    """Return JSON as that kind of struct.

    Raises:
        ValueError: it is not JSON, or not of that kind.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
