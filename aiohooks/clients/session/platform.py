"""Supervisely's platform: where its sessions are, and projects to upload predictions to."""

import base64
import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import anyio.to_thread

from aiohooks.annotation import Label
from aiohooks.backoff import Backoff
from aiohooks.clients.session.address import Address, of_session_token, read_address
from aiohooks.clients.session.pictures import Picture, upload_of
from aiohooks.clients.session.project_json import merged_meta, platform_annotation
from aiohooks.clients.session.reading import read
from aiohooks.clients.session.request import Call, Part
from aiohooks.clients.token import Token, chosen_token
from aiohooks.errors import RemoteError, SessionError, SpecError
from aiohooks.prediction import Prediction
from aiohooks.prediction.json_fields import list_at, object_at, real_at
from aiohooks.prediction.supervisely.meta import annotation_meta

if TYPE_CHECKING:
    from aiohooks.clients.session.connection import Connection  # loads aiohttp

T = TypeVar("T")

SERVER_VARIABLE = "SERVER_ADDRESS"
TOKEN_VARIABLE = "API_TOKEN"
"""The environment variables that Supervisely's SDK reads, too."""

BATCH = 50
"""Pictures that are uploaded at once."""

_API = "/public/api/v3"
_CONFLICTS = (400, 409)


class UploadedImage(NamedTuple):
    """A picture in a project: its id there, and its name."""

    id: int
    name: str


class SuperviselyPlatform:
    """A Supervisely platform. Use it in ``async with``.

    Args:
        server: its address; by default what the environment variable ``SERVER_ADDRESS`` holds.
        api_token: its API token; by default what the environment variable ``API_TOKEN`` holds.
        api_token_env: another environment variable that holds it.
        timeout: seconds for a request with all its attempts, beside the time that its upload takes.
        connect_timeout: seconds within which it must be reached.
        backoff: pauses between attempts.

    Raises:
        SpecError: the address or the token is not there.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        api_token: str | None = None,
        api_token_env: str | None = None,
        timeout: float = 60.0,
        connect_timeout: float = 5.0,
        backoff: Backoff | None = None,
    ) -> None:
        server = server or os.environ.get(SERVER_VARIABLE)
        if not server:
            raise SpecError(f"the address of the platform is missing: give server=…, or set {SERVER_VARIABLE}")
        self._address = read_address(server)
        given = chosen_token(api_token, api_token_env)
        self._token = Token.from_variable(TOKEN_VARIABLE) if given is None else given
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._backoff = backoff or Backoff()
        self._connection: Connection | None = None

    def __repr__(self) -> str:
        return f"SuperviselyPlatform({self.host!r})"

    @property
    def host(self) -> str:
        """Where it is: scheme, host and port."""
        return self._address.shown

    @property
    def token(self) -> Token:
        """Its API token."""
        return self._token

    async def __aenter__(self) -> Self:
        from aiohooks.clients.session.connection import Connection

        self._connection = Connection(
            Address(f"{self._address.base}{_API}", self._address.shown),
            headers={"x-api-key": self._token.reveal()},
            max_connections=4,
            connect_timeout=self._connect_timeout,
            timeout=self._timeout,
            backoff=self._backoff,
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.aclose()

    async def session_address(self, task_id: int) -> Address:
        """Return where the session of an app is.

        Raises:
            RemoteError: the platform answered with an error; 404 where there is no such task.
            SessionError: the platform cannot be reached, or the task is no running app.
        """
        token = await self._ask("tasks.info", {"id": task_id}, _session_token)
        if not token:
            raise SessionError(f"task {task_id} has no session: is it a served model, and does it run?")
        return of_session_token(self._address, token)

    async def upload(
        self,
        pictures: Iterable[tuple[Picture, Prediction]] | AsyncIterable[tuple[Picture, Prediction]],
        *,
        workspace_id: int,
        project: str,
        dataset: str,
        names: Iterable[str] | None = None,
    ) -> list[UploadedImage]:
        """Upload pictures with their predictions as annotations; project and dataset are made if they are missing.

        Args:
            pictures: pictures, each with what was seen in it: paths, encoded bytes, RGB uint8 pixels or frames.
            workspace_id: of the project.
            project: its name.
            dataset: its name. A picture whose name is there already is an error of the platform.
            names: of the pictures there, one for each; by default those of files and frames. Equal names get a number.

        Returns:
            What is there now, in the order of the pictures.

        Raises:
            RemoteError: the platform answered with an error.
            SessionError: it cannot be reached, or answers as no platform does.
            SpecError: the project has a tag of another kind under a name that is needed.
            FrameError: a picture cannot be read.
        """
        project_id = await self._project(workspace_id, project)
        dataset_id = await self._dataset(project_id, dataset)
        given = None if names is None else iter(names)
        taken: set[str] = set()
        uploaded: list[UploadedImage] = []
        async for batch in _batches(pictures):
            files = [await upload_of(picture, len(uploaded) + index) for index, (picture, _) in enumerate(batch)]
            wanted = [part.file_name or "" if given is None else next(given) for part in files]
            labels = [_unique(name, taken) for name in wanted]
            annotations = [await anyio.to_thread.run_sync(_annotation, prediction) for _, prediction in batch]
            meta = await self._merge_meta(project_id, annotations, [each.labels for _, each in batch])
            hashes = await self._upload_files(files)
            images = await self._add_images(dataset_id, labels, hashes)
            body = [
                {"imageId": image.id, "annotation": platform_annotation(annotation, meta)}
                for image, annotation in zip(images, annotations, strict=True)
            ]
            told = {"datasetId": dataset_id, "annotations": body, "skipBoundsValidation": False}
            await self._ask("annotations.bulk.add", told, _anything)
            uploaded += images
        return uploaded

    async def _project(self, workspace_id: int, name: str) -> int:
        question = {"workspaceId": workspace_id, "filter": [_named(name)]}
        found = await self._ask("projects.list", question, partial(_id_in_list, name=name))
        if found is not None:
            return found
        body = {"workspaceId": workspace_id, "name": name, "description": "", "type": "images"}
        return await self._ask("projects.add", body, _id, is_repeatable=False)

    async def _dataset(self, project_id: int, name: str) -> int:
        body = {"projectId": project_id, "name": name, "description": "", "parentId": None}
        try:
            return await self._ask("datasets.add", body, _id, is_repeatable=False)
        except RemoteError as error:
            if error.status not in _CONFLICTS:
                raise
            refusal = error
        question = {"projectId": project_id, "filter": [_named(name)]}
        found = await self._ask("datasets.list", question, partial(_id_in_list, name=name))
        if found is None:
            raise refusal
        return found

    async def _merge_meta(
        self, project_id: int, annotations: Sequence[Mapping[str, Any]], tables: Sequence[Sequence[Label]]
    ) -> Mapping[str, Any]:
        """Have the project know all classes and tags, and return its meta, with ids, as it is then."""
        there = await self._ask("projects.meta", {"id": project_id}, _object)
        needed = annotation_meta(annotations, [label for table in tables for label in table])
        merged = merged_meta(there, needed)
        if merged == there:
            return merged
        answer = await self._ask("projects.meta.update", {"id": project_id, "meta": merged}, _object)
        if "classes" not in answer:  # older platforms say only that it went well
            answer = await self._ask("projects.meta", {"id": project_id}, _object)
        return answer

    async def _upload_files(self, files: Sequence[Part]) -> list[str]:
        """Upload the files that the platform does not have, and return the hashes of all."""
        hashes = [await anyio.to_thread.run_sync(_hash, part) for part in files]
        there = set(await self._ask("images.internal.hashes.list", sorted(set(hashes)), _texts))
        missing = {each: part for each, part in zip(hashes, files, strict=True) if each not in there}
        if missing:
            form = [
                Part(f"{index}-file", part.content, part.length, str(index), "image/*")
                for index, part in enumerate(missing.values())
            ]
            accepted = set(await self._read(Call("images.bulk.upload", form=form), _hashes))
            if refused := [part for each, part in missing.items() if each not in accepted]:
                raise SessionError(f"images.bulk.upload: the platform did not take {refused[0].file_name!r}")
        return hashes

    async def _add_images(self, dataset_id: int, names: Sequence[str], hashes: Sequence[str]) -> list[UploadedImage]:
        images = [{"title": name, "hash": each} for name, each in zip(names, hashes, strict=True)]
        body = {"datasetId": dataset_id, "images": images, "forceMetadataForLinks": True, "skipValidation": False}
        ids = await self._ask("images.bulk.add", body, _ids, is_repeatable=False)
        if len(ids) != len(names):
            raise SessionError(f"images.bulk.add: malformed answer: {len(ids)} pictures for {len(names)}")
        return [UploadedImage(identity, name) for identity, name in zip(ids, names, strict=True)]

    async def _ask(self, method: str, body: Any, convert: Callable[[Any], T], *, is_repeatable: bool = True) -> T:
        return await self._read(Call(method, body, is_repeatable=is_repeatable), convert)

    async def _read(self, call: Call, convert: Callable[[Any], T]) -> T:
        if self._connection is None:
            raise SessionError(f"{self}: use it in `async with`")
        return await read(await self._connection.ask(call), call.method, convert)


async def _batches(
    pictures: Iterable[tuple[Picture, Prediction]] | AsyncIterable[tuple[Picture, Prediction]],
) -> AsyncIterator[list[tuple[Picture, Prediction]]]:
    batch: list[tuple[Picture, Prediction]] = []
    if isinstance(pictures, AsyncIterable):
        async for pair in pictures:
            batch.append(pair)
            if len(batch) == BATCH:
                yield batch
                batch = []
    else:
        for pair in pictures:
            batch.append(pair)
            if len(batch) == BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def _hash(part: Part) -> str:
    content = part.content if isinstance(part.content, bytes) else part.content.read_bytes()
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def _unique(name: str, taken: set[str]) -> str:
    """Return the name, with a number before its suffix where it is taken."""
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{stem}_{number}{dot}{suffix}"
    taken.add(unique)
    return unique


def _named(name: str) -> dict[str, str]:
    return {"field": "name", "operator": "=", "value": name}


def _annotation(prediction: Prediction) -> dict[str, Any]:
    annotation: dict[str, Any] = prediction.to_supervisely()["annotation"]
    return annotation


# Answers; what is wrong in them is a SpecError, which `read` turns into one of the session.


def _anything(data: Any) -> None:
    del data


def _object(data: Any) -> Mapping[str, Any]:
    return object_at(data, "answer")


def _texts(data: Any) -> list[str]:
    return [str(each) for each in list_at(data, "answer")]


def _hashes(data: Any) -> list[str]:
    return [str(object_at(each, "answer").get("hash")) for each in list_at(data, "answer")]


def _id(data: Any) -> int:
    return round(real_at(object_at(data, "answer"), "id", "answer"))


def _ids(data: Any) -> list[int]:
    return [_id(each) for each in list_at(data, "answer")]


def _id_in_list(data: Any, *, name: str) -> int | None:
    for each in list_at(object_at(data, "answer").get("entities") or [], "answer.entities"):
        item = object_at(each, "answer.entities")
        if item.get("name", item.get("title")) == name:
            return _id(item)
    return None


def _session_token(data: Any) -> str | None:
    token = object_at(object_at(data, "answer").get("meta") or {}, "answer.meta").get("sessionToken")
    return token if isinstance(token, str) else None
