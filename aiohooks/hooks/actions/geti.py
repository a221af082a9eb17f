"""Frames and what was found in them, in a dataset of an Intel Geti server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC
from functools import partial
from pathlib import PurePath
from typing import Annotated, Any

import anyio
import msgspec

from aiohooks.clients.geti import Dataset, GetiClient, Project
from aiohooks.clients.geti.annotating import annotations_of
from aiohooks.clients.geti.media_types import MEDIA_TYPES
from aiohooks.clients.geti.server import normalised_host
from aiohooks.errors import SpecError
from aiohooks.fields import check_fields
from aiohooks.file_name import MAX_BYTES, safe_name
from aiohooks.hooks import background
from aiohooks.hooks.actions.logger import LogLevel, log
from aiohooks.hooks.actions.picture import ImageFormat, Picture, picture_of
from aiohooks.hooks.event import HookEvent

_JPEG_QUALITY = 95
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"

Text = Annotated[str, msgspec.Meta(min_length=1)]


class UploadedPicture(msgspec.Struct, frozen=True):
    """A picture that went to Geti.

    Attributes:
        id: its identity there.
        name: of the file that was sent.
        dataset: name of its dataset.
        annotated: whether the prediction went with it.
    """

    id: str
    name: str
    dataset: str
    annotated: bool = False


class GetiDataCollection(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Uploads frames to a dataset of a project in Intel Geti.

    The first event connects and makes the dataset if it is missing, once, however many events there are at once; nothing is sent
    before. A frame that has its encoded bytes in a format that Geti takes (PNG, JPEG, BMP, TIFF) is uploaded as these; others are
    encoded. Transient failures are retried, as by `GetiClient`, until ``timeout`` is over. If an answer of the server gets
    lost, the picture is sent again: Geti may then have it twice, under the same name, ``<name>_<time>_<index>``, where the frame's name
    is made fit for a file, and cut if it is very long. Where the hook has a ``delivery``, the name ends in the event's key.

    The token is named, not written down. It is looked up by the first event.

    Attributes:
        project: name or id.
        dataset: name or id; by default the one that the project trains with.
        host: of the server, ``https://…``; by default ``GETI_HOST`` of the environment.
        token_variable: name of the environment variable that holds a personal access token.
        workspace_id: where the token can see several workspaces.
        verify_certificate: whether to check the server's TLS certificate; without, anybody on the way can read the token.
        include_prediction: also upload the prediction, as the picture's annotation. Its labels must be labels of the project: by id, else
            by name. An event with another label fails, and uploads nothing.
        timeout: seconds for each call to the server, with its retries.
        log_level: level of the line that says what was uploaded.
        image_format: ``png``, which keeps every pixel, or ``jpeg``, for frames to encode.

    Raises:
        SpecError: a value is out of its range.
    """

    project: Text
    dataset: Text | None = None
    host: str | None = None
    token_variable: Annotated[str, msgspec.Meta(pattern=_VARIABLE)] = "GETI_TOKEN"
    workspace_id: Text | None = None
    verify_certificate: bool = True
    include_prediction: bool = False
    timeout: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 60.0
    log_level: LogLevel = "debug"
    image_format: ImageFormat = "png"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.host is not None:
            try:
                normalised_host(self.host)
            except SpecError as error:
                raise SpecError(f"GetiDataCollection.host: {error}") from None

    async def __call__(self, event: HookEvent) -> UploadedPicture:
        """Upload one event over a connection of its own; a running hook shares connections between events.

        Raises:
            SessionError: the server cannot be reached or refuses, as a `RemoteError` with its status; or project or label are unknown.
            SpecError: host or token is missing.
            ActionError: the picture cannot be encoded.
        """
        async with self.lifespan() as upload:
            return await upload(event)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[Callable[[HookEvent], Awaitable[UploadedPicture]]]:
        """Hold a client and a hook's threads; entering it gives the function that uploads an event, and sends nothing."""
        client = GetiClient(
            self.host,
            token_variable=self.token_variable,
            workspace_id=self.workspace_id,
            verify_certificate=self.verify_certificate,
            # A hook has patience with a server that starts later.
            connect_timeout=self.timeout,
            timeout=self.timeout,
        )
        async with client, background.threads() as threads:
            yield partial(self._upload, _Target(client, self.project, self.dataset), threads.heavy)

    async def _upload(self, target: "_Target", run: background.Run, event: HookEvent) -> UploadedPicture:
        project, dataset = await target.find()
        picture, annotations = await run(self._prepared, project, event)
        name = _name_of(event) + picture.suffix
        uploaded = await target.client.upload_picture(dataset, picture.data, name)
        await target.client.post_annotations(uploaded, annotations)
        log(self.log_level, "hook %s: uploaded %s to dataset %s of %s", event.hook, name, dataset.name, project.name)
        return UploadedPicture(uploaded.id, name, dataset.name, bool(annotations))

    def _prepared(self, project: Project, event: HookEvent) -> tuple[Picture, list[dict[str, Any]]]:
        frame = event.frame
        size = (frame.height, frame.width)
        # Before the picture, so that none is uploaded whose labels Geti does not know.
        annotations = annotations_of(project, event.prediction, size) if self.include_prediction else []
        picture = picture_of(frame, self.image_format, _JPEG_QUALITY)
        if picture.suffix not in MEDIA_TYPES:
            picture = picture_of(frame.with_image(frame.image), self.image_format, _JPEG_QUALITY)
        return picture, annotations


class _Target:
    """Where a running hook uploads to; found once, by the first event."""

    def __init__(self, client: GetiClient, project: str, dataset: str | None) -> None:
        self.client = client
        self._project = project
        self._dataset = dataset
        self._found: tuple[Project, Dataset] | None = None
        self._finding = anyio.Lock()

    async def find(self) -> tuple[Project, Dataset]:
        if self._found is None:
            async with self._finding:
                if self._found is None:
                    project = await self.client.project(self._project)
                    self._found = project, await self.client.ensure_dataset(project, self._dataset)
        return self._found


def _name_of(event: HookEvent) -> str:
    time = event.triggered_at.astimezone(UTC).strftime("%Y%m%dT%H-%M-%S-%f")
    name = event.frame.name
    suffix = PurePath(name).suffix
    name = name.removesuffix(suffix) if suffix.lower() in MEDIA_TYPES else name
    # Geti takes no key by which it would know a picture again, so it stands where people see it.
    end = f"_{time}_{event.frame.index}{f'_{event.key}' if event.key else ''}"
    return (safe_name(name, MAX_BYTES - len(end)) or "frame") + end
