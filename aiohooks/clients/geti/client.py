"""A client of Intel Geti."""

import math
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import anyio.to_thread
import msgspec

from aiohooks.annotation import Annotation
from aiohooks.clients.geti import model_choice
from aiohooks.clients.geti.addresses import page_path, path_of
from aiohooks.clients.geti.annotating import annotations_of
from aiohooks.clients.geti.answers import (
    Dataset,
    Datasets,
    GivenAnnotations,
    ModelGroups,
    OptimizedModel,
    Picture,
    PicturesPage,
    ProductInfo,
    Project,
    ProjectsPage,
    TrainedModel,
)
from aiohooks.clients.geti.media_types import MEDIA_TYPES
from aiohooks.clients.geti.server import server_from_environment, server_from_file
from aiohooks.clients.geti.workspace_access import WorkspaceAccess
from aiohooks.clients.token import Token
from aiohooks.errors import RemoteError, SessionError, SpecError
from aiohooks.file_name import safe_name
from aiohooks.prediction import Prediction

if TYPE_CHECKING:
    import aiohttp

    from aiohooks.clients.geti.connection import Request

T = TypeVar("T")

Progress = Callable[[str, int, int], None]
"""Called with what is being downloaded, the bytes received so far, and the bytes to receive in all, 0 if that is not known."""

MAX_PICTURE_BYTES = 512 * 1024 * 1024
MAX_DEPLOYMENT_BYTES = 8 * 1024**3

_PROJECTS_A_PAGE = 50
_PICTURES_A_PAGE = 100
_IMAGES = {"condition": "and", "rules": [{"field": "MEDIA_TYPE", "operator": "EQUAL", "value": "image"}]}


class PictureTooLargeError(SessionError):
    """A picture is larger than was asked for."""


class GetiClient:
    """Talks to an Intel Geti server. Use it in ``async with``; any number of tasks may share it.

    Nothing is sent before the first call, which also finds the organisation and the workspace of the token. Transient failures (no
    connection, resets, 408, 429, 502, 503, 504) are retried, with growing, jittered pauses or those that the server asks for, until
    ``timeout`` is over. Redirects are not followed. The token is sent to the host alone and shown nowhere.

    Args:
        host: ``https://host``, or only the host; ``GETI_HOST`` of the environment if not given.
        token_variable: name of the environment variable that holds a personal access token.
        token: such a token, instead of the variable.
        workspace_id: of the workspace, where a token can see several.
        verify_certificate: whether to check the server's TLS certificate; otherwise anybody on the way can read the token.
        proxy: address of an HTTP proxy, for https; ``GETI_HTTPS_PROXY`` of the environment if not given, none if empty.
        max_connections: open at once, at least 1; further calls wait.
        connect_timeout: seconds to connect, above 0; before the server's first answer, this includes all retries.
        timeout: seconds for a call with all its retries, above 0. A download may take longer, but is given up if nothing comes
            for as long.

    Raises:
        SpecError: an argument is not what it should be.
    """

    def __init__(
        self,
        host: str | None = None,
        *,
        token_variable: str = "GETI_TOKEN",
        token: str | Token | None = None,
        workspace_id: str | None = None,
        verify_certificate: bool = True,
        proxy: str | None = None,
        max_connections: int = 8,
        connect_timeout: float = 10.0,
        timeout: float = 60.0,
    ) -> None:
        if not 0 < connect_timeout < math.inf or not 0 < timeout < math.inf:
            raise SpecError("GetiClient: connect_timeout and timeout must be seconds above 0")
        if max_connections < 1:
            raise SpecError("GetiClient: max_connections must be at least 1")
        self._access = WorkspaceAccess(
            host,
            token,
            token_variable=token_variable,
            workspace_id=workspace_id,
            verify_certificate=verify_certificate,
            proxy=proxy,
            max_connections=max_connections,
            connect_timeout=connect_timeout,
            timeout=timeout,
        )
        self._making_dataset = anyio.Lock()

    @classmethod
    def from_environment(cls, env_file: str | os.PathLike[str] | None = None, **arguments: Any) -> Self:
        """Return a client of the server that the environment names, or a file. Blocks to read the file.

        The environment variables are ``GETI_HOST``, ``GETI_TOKEN``, ``GETI_VERIFY_CERT`` (true or false) and ``GETI_HTTPS_PROXY``.
        In a file, such as ``.env``, they are lines of ``NAME=value``, with or without ``GETI_``; all are taken from that file.

        Args:
            env_file: a file to take them from, instead of the environment.
            arguments: other arguments of `GetiClient`.

        Raises:
            SpecError: host or token is missing, or something is not what it should be.
        """
        server = server_from_environment() if env_file is None else server_from_file(env_file)
        own: dict[str, Any] = {
            "token": server.token,
            "verify_certificate": server.verify_certificate,
            "proxy": server.proxy or "",
        }
        return cls(server.host, **(own | arguments))

    def __repr__(self) -> str:
        return str(self._access)

    async def __aenter__(self) -> Self:
        self._access.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._access.aclose()

    async def request(
        self, method: str, path: str, kind: type[T], *, json: object = None, is_repeatable: bool | None = None
    ) -> T:
        """Make any call inside the workspace, such as one that has no method here.

        Args:
            method: of HTTP.
            path: what follows ``…/workspaces/{id}/``, encoded, with its query.
            kind: of answer: a msgspec struct or another type that JSON is decoded to; ``bytes`` for the body as it is.
            json: body, if there is one.
            is_repeatable: the server may get the call twice, if its first answer is lost; by default only a GET.

        Raises:
            RemoteError: the server answered with an error; it has the status.
            SessionError: the server cannot be reached, does not answer in time, or answers as Geti does not.
            SpecError: host or token is missing.
        """
        if is_repeatable is None:
            is_repeatable = method == "GET"
        return await self._access.ask(
            method, f"{await self._access.path()}/{path}", kind, json, is_repeatable=is_repeatable
        )

    async def product_info(self) -> ProductInfo:
        """Return the server's versions. Raises as `request`."""
        return await self._access.ask("GET", "product_info", ProductInfo)

    async def projects(self) -> AsyncGenerator[Project, None]:
        """Yield the projects of the workspace, page by page. Raises as `request`."""
        skip = 0
        while True:
            page = await self.request("GET", f"projects?limit={_PROJECTS_A_PAGE}&skip={skip}", ProjectsPage)
            for project in page.projects:
                yield project
            skip += len(page.projects)
            if not page.projects or (page.project_counts is not None and skip >= page.project_counts):
                return

    async def project(self, name_or_id: str) -> Project:
        """Return a project with its tasks and labels.

        Raises:
            SessionError: there is none of that name or id, or several of that name; or as `request`.
        """
        found = [project async for project in self.projects() if name_or_id in (project.id, project.name)]
        found = [project for project in found if project.id == name_or_id] or found
        if not found:
            raise SessionError(
                f"{self._access.host}: the workspace has no project {name_or_id!r}, or the token does not permit to see it"
            )
        if len(found) > 1:
            ids = ", ".join(project.id for project in found)
            raise SessionError(
                f"{self._access.host}: {len(found)} projects are called {name_or_id!r}; choose by id: {ids}"
            )
        return await self.request("GET", path_of("projects", found[0].id), Project)

    async def models(self, project: Project) -> dict[str, TrainedModel | None]:
        """Return, by the ids of its tasks, the models that a project predicts with; None for a task without one.

        That is the active model of each task, else its latest. Raises as `request`.
        """
        groups = await self.request("GET", path_of("projects", project.id, "model_groups"), ModelGroups)
        models: dict[str, TrainedModel | None] = {}
        for task in project.tasks:
            chosen = model_choice.trained_for(task, project.tasks, groups.model_groups)
            if chosen is None:
                models[task.id] = None
                continue
            group, summary = chosen
            path = path_of("projects", project.id, "model_groups", group.id, "models", summary.id)
            model = await self.request("GET", path, TrainedModel)
            models[task.id] = msgspec.structs.replace(
                model, model_group_id=group.id, task_id=task.id, is_active=bool(summary.active_model)
            )
        return models

    async def choose_models(
        self, project: Project, *, xai: bool = False, optimization: str | None = None, precision: str | None = None
    ) -> tuple[OptimizedModel, ...]:
        """Return the model to deploy for each task, in the order of the tasks.

        Args:
            project: the project.
            xai: the models must explain their predictions; otherwise those that do are taken only if there are no others.
            optimization: ``NNCF``, ``POT`` or ``MO``; by default the first of these that there is.
            precision: ``FP32``, ``FP16`` or ``INT8``; by default any.

        Raises:
            SessionError: a task has no such model; or as `request`.
        """
        trained = await self.models(project)
        chosen = []
        for task in project.tasks:
            model = trained[task.id]
            if model is None:
                raise SessionError(f"project {project.name!r}: the task {task.title!r} has no trained model yet")
            try:
                form = model_choice.optimized(model, xai=xai, optimization=optimization, precision=precision)
            except LookupError as error:
                raise SessionError(f"project {project.name!r}: task {task.title!r}: {error}") from None
            chosen.append(msgspec.structs.replace(form, model_group_id=form.model_group_id or model.model_group_id))
        return tuple(chosen)

    async def download_deployment(
        self,
        project: Project | str,
        folder: str | os.PathLike[str],
        *,
        models: Sequence[OptimizedModel] | None = None,
        xai: bool = False,
        replace: bool = False,
        max_bytes: int = MAX_DEPLOYMENT_BYTES,
        progress: Progress | None = None,
    ) -> Path:
        """Download a project's models as a deployment, ``folder/deployment``, and return that path for ``Deployment.load``.

        The folder is whole or not there. Nothing in it is run.

        Args:
            project: the project, or its name or id.
            folder: where to put it; made if it is missing.
            models: what to deploy; by default as `choose_models` does.
            xai: the chosen models must explain their predictions.
            replace: a deployment that is there may be replaced; anything else stays.
            max_bytes: of the archive, and of what is in it.
            progress: called while it is downloaded.

        Raises:
            SessionError: what came is no deployment, is unsafe to unpack, too large, or cannot be written; there is one already, or
                something else; a task has no such model; or as `request`.
        """
        from aiohooks.clients.geti.connection import Request  # loads aiohttp
        from aiohooks.clients.geti.download import check_place, deployment_to

        project = await self.project(project) if isinstance(project, str) else project
        target = Path(folder) / "deployment"
        await anyio.to_thread.run_sync(partial(check_place, target, replace=replace))
        models = await self.choose_models(project, xai=xai) if models is None else models
        body = {
            "package_type": "geti_sdk",
            "models": [{"model_id": model.id, "model_group_id": model.model_group_id} for model in models],
        }
        path = f"{await self._access.path()}/{path_of('projects', project.id, 'deployment_package:download')}"
        request = Request("POST", path, json=msgspec.json.encode(body))
        report = partial(progress or _ignore, f"deployment of {project.name}")
        await deployment_to(
            target, self._access.connection, request, replace=replace, max_bytes=max_bytes, progress=report
        )
        return target

    async def datasets(self, project: Project) -> tuple[Dataset, ...]:
        """Return the datasets of a project. Raises as `request`."""
        answer = await self.request("GET", path_of("projects", project.id, "datasets"), Datasets)
        return tuple(msgspec.structs.replace(dataset, project_id=project.id) for dataset in answer.datasets)

    async def dataset(self, project: Project, name_or_id: str | None = None) -> Dataset:
        """Return a dataset of a project, by default the one that it trains with.

        Raises:
            SessionError: there is none of that name or id; or as `request`.
        """
        found = await self._find_dataset(project, name_or_id)
        if found is None:
            raise SessionError(f"project {project.name!r} has no dataset {name_or_id!r}")
        return found

    async def create_dataset(self, project: Project, name: str) -> Dataset:
        """Create a dataset, once: if the server's answer gets lost, it is looked for before it is created again.

        Raises:
            RemoteError: the name is taken (409), or as `request`.
            SessionError: as `request`.
        """
        if not name:
            raise SpecError("a dataset needs a name")
        path = f"{await self._access.path()}/{path_of('projects', project.id, 'datasets')}"
        find = partial(self._find_dataset, project, name)
        made = await self._access.ask("POST", path, Dataset, {"name": name}, is_repeatable=False, done_before=find)
        return msgspec.structs.replace(made, project_id=project.id, name=made.name or name)

    async def ensure_dataset(self, project: Project, name_or_id: str | None = None) -> Dataset:
        """Return a dataset by name or id, created if it is missing; by default the one that the project trains with.

        Any number of tasks may ask for the same: it is created once. If another program creates it meanwhile, that one is returned.

        Raises:
            SessionError: as `request`.
        """
        async with self._making_dataset:
            found = await self._find_dataset(project, name_or_id)
            if found is not None:
                return found
            assert name_or_id is not None  # without a name there is one, or an error
            refusal = None
            try:
                return await self.create_dataset(project, name_or_id)
            except RemoteError as error:
                refusal = error
            # Another program may have been quicker.
            found = await self._find_dataset(project, name_or_id) if refusal.status < 500 else None
            if found is None:
                raise refusal
            return found

    async def pictures(self, dataset: Dataset) -> AsyncGenerator[Picture, None]:
        """Yield the pictures of a dataset, page by page; what is added or removed meanwhile may be missed.

        Raises:
            SessionError: as `request`.
        """
        base = path_of("projects", dataset.project_id, "datasets", dataset.id, "media:query")
        path: str | None = f"{await self._access.path()}/{base}?limit={_PICTURES_A_PAGE}"
        seen = 0
        while path is not None:
            page = await self._access.ask("POST", path, PicturesPage, _IMAGES)
            for picture in page.media:
                if picture.type == "image":
                    yield msgspec.structs.replace(picture, project_id=dataset.project_id, dataset_id=dataset.id)
            seen += len(page.media)
            if not page.media or not page.next_page or seen >= (page.total_matched_images or math.inf):
                return
            try:
                path = page_path(page.next_page, self._access.connection.host)
            except ValueError as error:
                raise SessionError(
                    f"{self._access.host}: the address of the next page is not followed: {error}"
                ) from None

    async def picture_bytes(self, picture: Picture, *, max_bytes: int = MAX_PICTURE_BYTES) -> bytes:
        """Return a picture as Geti shows it, a JPEG.

        Args:
            picture: the picture.
            max_bytes: largest size to accept.

        Raises:
            SessionError: it is larger; or as `request`.
        """
        from aiohooks.clients.geti.connection import start_of  # loads aiohttp

        async def read(answer: "aiohttp.ClientResponse") -> bytes:
            data = await start_of(answer, max_bytes + 1)
            if len(data) > max_bytes:
                raise PictureTooLargeError(f"picture {picture.name!r} is larger than {max_bytes} bytes")
            return data

        return await self._access.connection.receive(await self._display(picture), read)

    async def download_pictures(
        self,
        dataset: Dataset,
        folder: str | os.PathLike[str],
        *,
        concurrency: int = 4,
        progress: Progress | None = None,
    ) -> int:
        """Save the pictures of a dataset as ``<name>_<id>.jpg`` in a folder, and return their number.

        What is there already, by that name, is not downloaded again. A file is whole or not there.

        Args:
            dataset: the dataset.
            folder: made if it is missing.
            concurrency: pictures at once, at least 1.
            progress: called after each picture, with the numbers of pictures done and known of.

        Raises:
            SessionError: a picture cannot be downloaded or written; or as `request`. What is done by then stays.
        """
        from aiohooks.clients.geti.download import pictures_to  # loads aiohttp

        return await pictures_to(
            Path(folder),
            self._access.connection,
            self.pictures(dataset),
            self._display,
            concurrency=concurrency,
            max_bytes=MAX_PICTURE_BYTES,
            progress=partial(progress or _ignore, f"pictures of {dataset.name}"),
        )

    async def upload_picture(
        self, dataset: Dataset, picture: bytes | str | os.PathLike[str], name: str = ""
    ) -> Picture:
        """Put a picture into a dataset.

        If the server's answer gets lost, the picture is sent again: Geti then has it twice, under the same name.

        Args:
            dataset: the dataset.
            picture: an encoded picture or the path of one.
            name: of the file; by default that of the path. Its suffix says what it is: one of `MEDIA_TYPES`.

        Raises:
            SessionError: as `request`; a picture that is too large is a `RemoteError` with status 413.
            SpecError: the name has no suffix that Geti takes.
            OSError: the file cannot be read.
        """
        from aiohooks.clients.geti.connection import Request, Upload  # loads aiohttp

        if not isinstance(picture, bytes):
            name = name or Path(picture).name
            picture = await anyio.Path(picture).read_bytes()
        suffix = Path(name).suffix
        media_type = MEDIA_TYPES.get(suffix.lower())
        if media_type is None:
            raise SpecError(f"Geti takes no picture called {name!r}; its name must end in {', '.join(MEDIA_TYPES)}")
        file_name = (safe_name(name.removesuffix(suffix)) or "picture") + suffix
        path = path_of("projects", dataset.project_id, "datasets", dataset.id, "media", "images")
        request = Request("POST", f"{await self._access.path()}/{path}", upload=Upload(file_name, media_type, picture))
        answer = await self._access.connection.ask(request, Picture)
        return msgspec.structs.replace(answer, project_id=dataset.project_id, dataset_id=dataset.id)

    async def annotate(
        self,
        project: Project,
        picture: Picture,
        found: Prediction | Sequence[Annotation],
        *,
        size: tuple[int, int] | None = None,
    ) -> bool:
        """Upload what was found in a picture as its annotations, replacing those that it has.

        Labels are those of the project with the same id, else with the same name. Shapes are cut to the picture, but for rotated
        rectangles, which go as they are. If nothing was found, the picture gets the project's empty label.

        Args:
            project: the picture's.
            picture: an uploaded picture.
            found: annotations.
            size: height and width of the picture in pixels; by default that of the prediction, else what the server knows.

        Returns:
            Whether there was something to upload: not if nothing was found and the project has no empty label.

        Raises:
            SessionError: a label is not one of the project, or the size is not known; or as `request`.
        """
        information = picture.media_information
        if isinstance(found, Prediction):
            size = size or found.size
        elif size is None and information is not None and information.height and information.width:
            size = (information.height, information.width)
        if size is None:
            raise SessionError(f"picture {picture.name!r}: its size is not known; give it as (height, width)")
        annotations = await anyio.to_thread.run_sync(annotations_of, project, found, size)
        await self.post_annotations(picture, annotations)
        return bool(annotations)

    async def post_annotations(self, picture: Picture, annotations: Sequence[dict[str, Any]]) -> None:
        """Upload annotations in Geti's form, with the labels' ids, replacing those that a picture has; without any, nothing is sent.

        Raises:
            SessionError: as `request`.
        """
        if not annotations:
            return
        body = {"annotations": annotations, "media_identifier": {"type": "image", "image_id": picture.id}}
        await self.request("POST", f"{_picture_path(picture)}/annotations", bytes, json=body, is_repeatable=True)

    async def label_names(self, project: Project, picture: Picture) -> tuple[str, ...]:
        """Return the names of the labels that people gave a picture, each once; none if nobody has annotated it.

        A label that the project does not have (any more) is called by its id. A picture without objects has the project's empty label.

        Raises:
            SessionError: as `request`.
        """
        path = f"{_picture_path(picture)}/annotations/latest"
        kind: Any = GivenAnnotations | None  # no content where there are none
        found = await self.request("GET", path, kind)
        names = {label.id: label.name for label in project.labels}
        given = [label.id for annotation in (found.annotations if found else ()) for label in annotation.labels]
        return tuple(dict.fromkeys(names.get(label, label) for label in given))

    async def _find_dataset(self, project: Project, name_or_id: str | None) -> Dataset | None:
        datasets = await self.datasets(project)
        if name_or_id is None:
            found = [dataset for dataset in datasets if dataset.use_for_training]
            if not found:
                raise SessionError(f"project {project.name!r} has no dataset that it trains with; name one")
            return found[0]
        by_id = [dataset for dataset in datasets if dataset.id == name_or_id]
        return next(iter(by_id + [dataset for dataset in datasets if dataset.name == name_or_id]), None)

    async def _display(self, picture: Picture) -> "Request":
        from aiohooks.clients.geti.connection import Request  # loads aiohttp

        return Request("GET", f"{await self._access.path()}/{_picture_path(picture)}/display/full")


def _picture_path(picture: Picture) -> str:
    return path_of("projects", picture.project_id, "datasets", picture.dataset_id, "media", "images", picture.id)


def _ignore(*_: object) -> None:
    pass
