"""The client of a served model."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import anyio
import anyio.to_thread

from aiohooks.annotation import Label
from aiohooks.backoff import Backoff
from aiohooks.clients.session.address import Address, read_address
from aiohooks.clients.session.answers import SessionInfo
from aiohooks.clients.session.batches import batches_of
from aiohooks.clients.session.calls import Calls
from aiohooks.clients.session.pictures import Picture, file_upload, is_id, is_url, upload_of
from aiohooks.clients.session.platform import SuperviselyPlatform
from aiohooks.clients.session.reading import Reader, read
from aiohooks.clients.session.request import Call
from aiohooks.clients.session.settings import Settings, check_names, parse_yaml, read_settings
from aiohooks.clients.session.video import VideoInference, video_state
from aiohooks.clients.token import chosen_token
from aiohooks.errors import AiohooksError, FrameError, SessionError
from aiohooks.prediction import Prediction
from aiohooks.prediction.json_fields import list_at, object_at
from aiohooks.prediction.supervisely.meta import labels_of
from aiohooks.prediction.supervisely.task_types import task_of

if TYPE_CHECKING:
    from aiohooks.clients.session.connection import Connection  # loads aiohttp

logger = logging.getLogger("aiohooks.clients")

T = TypeVar("T")

MAX_BATCH = 16
"""Pictures in one request, where the server takes as many."""

BATCHES_AT_ONCE = 2
"""So that one is sent while another is inferred."""


class Session:
    """A served model: ``aiohooks serve``, or a serving app of Supervisely. Use it in ``async with``, or call `open` and `aclose`.

    It may be used by any number of tasks at once; several videos may be inferred at once.

    Args:
        url: of the model, such as ``http://host:8000``, or ``http://host:8000/net/name`` where a server has several.
        settings: inference settings of all requests, by their names or in a YAML file.
        token: of the server, sent as ``Authorization: Bearer …``.
        token_env: name of the environment variable that holds the token.
        timeout: seconds for a request with all its attempts, beside the time that its upload takes.
        connect_timeout: seconds within which the server must be reached.
        result_timeout: seconds without a new result after which the inference of a video is given up.
        max_connections: open at once, at most; further requests wait.
        backoff: pauses between attempts.

    Raises:
        SpecError: the URL is none, or the token is not there.
    """

    def __init__(
        self,
        url: str,
        *,
        settings: Settings | None = None,
        token: str | None = None,
        token_env: str | None = None,
        timeout: float = 60.0,
        connect_timeout: float = 5.0,
        result_timeout: float = 600.0,
        max_connections: int = 16,
        backoff: Backoff | None = None,
    ) -> None:
        self._address = read_address(url)
        self._token = chosen_token(token, token_env)
        self._given_settings = settings
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._result_timeout = result_timeout
        self._max_connections = max_connections
        self._backoff = backoff or Backoff()
        self._task_id = 0
        self._platform: SuperviselyPlatform | None = None
        self._opened: AsyncExitStack | None = None
        self._connection: Connection | None = None
        self._calls = Calls(None)
        self._info: SessionInfo | None = None
        self._meta: Mapping[str, Any] | None = None
        self._reader: Reader | None = None
        self._defaults: dict[str, Any] | None = None
        self._settings: dict[str, Any] = {}
        self._videos: set[VideoInference] = set()

    @classmethod
    def of_task(
        cls,
        task_id: int,
        *,
        server: str | None = None,
        api_token: str | None = None,
        api_token_env: str | None = None,
        **options: Any,
    ) -> Self:
        """Describe the session of a model that runs as an app on a Supervisely platform.

        Args:
            task_id: of the app's session.
            server: address of the platform; by default what the environment variable ``SERVER_ADDRESS`` holds.
            api_token: of the platform; by default what the environment variable ``API_TOKEN`` holds.
            api_token_env: another environment variable that holds it.
            options: ``settings`` and time-outs, as for a session by its URL.

        Raises:
            SpecError: the address or the token is not there.
        """
        waiting = {name: options[name] for name in ("timeout", "connect_timeout", "backoff") if name in options}
        platform = SuperviselyPlatform(server, api_token=api_token, api_token_env=api_token_env, **waiting)
        session = cls(platform.host, **options)
        session._platform, session._task_id = platform, task_id
        return session

    def __repr__(self) -> str:
        state = "open" if self._connection is not None else "not open"
        task = "" if self._platform is None else f", task {self._task_id}"
        return f"Session({self._address.shown!r}{task}, {state})"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Connect, and ask the model what it is and which settings it has.

        Raises:
            RemoteError: the server answered with an error.
            SessionError: it cannot be reached, or is no served model; or the session is open.
            SpecError: the settings are not those that the model has.
        """
        from aiohooks.clients.session.connection import Connection

        if self._opened is not None:
            raise SessionError(f"{self} is open")
        async with AsyncExitStack() as opened:
            address, headers, api_token = await self._find()
            if headers and address.is_readable_on_the_way:
                logger.warning("the token for %s goes over http: anybody on the way can read it", address.shown)
            self._calls = Calls(api_token)
            connection = Connection(
                address,
                headers=headers,
                max_connections=self._max_connections,
                connect_timeout=self._connect_timeout,
                timeout=self._timeout,
                backoff=self._backoff,
            )
            opened.push_async_callback(connection.aclose)
            self._connection = connection
            opened.callback(self._has_closed)
            self._info = await self._ask(
                "get_session_info", lambda data: SessionInfo.from_answer(object_at(data, "info"))
            )
            await self._read_meta(self._info)
            if self._given_settings is not None:
                self._settings = await self._checked(self._given_settings)
            self._opened = opened.pop_all()

    async def aclose(self) -> None:
        """Stop the videos that are being inferred, and close all connections."""
        for video in list(self._videos):
            await video.aclose()
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.aclose()

    @property
    def info(self) -> SessionInfo:
        """What the model said about itself when the session was opened."""
        self._require_open()
        assert self._info is not None
        return self._info

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes that it can predict."""
        return self._model().labels

    @property
    def meta(self) -> Mapping[str, Any]:
        """Classes and tags of its predictions, in Supervisely's form."""
        self._require_open()
        assert self._meta is not None
        return self._meta

    @property
    def settings(self) -> Mapping[str, Any]:
        """Inference settings of all requests."""
        return dict(self._settings)

    async def default_settings(self) -> dict[str, Any]:
        """Return the settings that the model has, with their defaults."""
        if self._defaults is None:
            found = await self._ask(
                "get_custom_inference_settings", lambda data: object_at(data, "answer").get("settings")
            )
            if isinstance(found, str):
                found = parse_yaml(found, "the settings of the model")
            self._defaults = dict(object_at(found or {}, "settings"))
        return dict(self._defaults)

    async def set_settings(self, settings: Settings) -> None:
        """Replace the inference settings of all requests by these, from a mapping or a YAML file.

        Raises:
            SpecError: the model has no such setting, or the file is none.
        """
        self._settings = await self._checked(settings)

    async def update_settings(self, **settings: Any) -> None:
        """Change some of the inference settings of all requests.

        Raises:
            SpecError: the model has no such setting.
        """
        found = await self._checked(settings)
        self._settings = {**self._settings, **found}  # as they are now

    async def deploy_info(self) -> dict[str, Any]:
        """Return how the model is deployed: checkpoint, architecture, device, runtime, precision."""
        return await self._ask("get_deploy_info", lambda data: dict(object_at(data, "answer")))

    async def infer(self, picture: Picture, *, settings: Settings | None = None) -> Prediction:
        """Predict one picture.

        Args:
            picture: a path, a URL that the server fetches, the id that it has for a picture, encoded bytes, RGB uint8 pixels or a `Frame`.
            settings: that differ from those of the session, for this request.

        Raises:
            RemoteError: the server answered with an error.
            SessionError: it cannot be reached, or does not answer in time.
            FrameError: the picture cannot be read here.
        """
        state = await self._state(settings)
        if is_url(picture):
            call = self._calls.of_state("inference_image_url", {**state, "image_url": picture})
        elif is_id(picture):
            call = self._calls.of_state("inference_image_id", {**state, "image_id": int(picture)})
        else:
            call = self._calls.with_files("inference_image", [await upload_of(picture)], state, text="settings")
        return await self._read(call, self._model().prediction)

    async def infer_many(self, pictures: Iterable[Picture], *, settings: Settings | None = None) -> list[Prediction]:
        """Predict several pictures, many in a request and two requests at once; predictions in their order.

        Args:
            pictures: as for `infer`, also of different kinds.
            settings: that differ from those of the session, for these requests.

        Raises:
            RemoteError: the server answered with an error; of the others there is no result then.
            SessionError: it cannot be reached, or does not answer in time.
            FrameError: a picture cannot be read here.
        """
        if isinstance(pictures, str | bytes | os.PathLike):
            raise FrameError(
                f"infer_many takes several pictures, got {pictures!r:.100}; of a folder, sorted(path.iterdir())"
            )
        state = await self._state(settings)
        most = min(MAX_BATCH, self.info.max_batch_size or MAX_BATCH)
        batches = batches_of(list(pictures), most)
        found: list[list[Prediction]] = [[] for _ in batches]
        limiter = anyio.CapacityLimiter(BATCHES_AT_ONCE)
        failures: list[AiohooksError] = []
        async with anyio.create_task_group() as requests:

            async def infer(index: int) -> None:
                async with limiter:
                    try:
                        found[index] = await self._infer_batch(batches[index], state)
                    except AiohooksError as error:
                        failures.append(error)
                        requests.cancel_scope.cancel()

            for index in range(len(batches)):
                requests.start_soon(infer, index)
        if failures:
            raise failures[0]
        return [prediction for batch in found for prediction in batch]

    def infer_video(
        self,
        video: str | os.PathLike[str] | int,
        *,
        start: int | None = None,
        count: int | None = None,
        stride: int = 1,
        direction: Literal["forward", "backward"] = "forward",
        settings: Settings | None = None,
        progress: bool = False,
    ) -> VideoInference:
        """Predict frames of a video, which the server infers while their predictions are read, as they are made.

        Args:
            video: a file to upload, or the id that the server has for a video.
            start: number of the first frame; by default the first in that direction.
            count: results that are wanted; by default all.
            stride: take every ``stride``-th frame.
            direction: ``backward`` goes from ``start`` towards the beginning.
            settings: that differ from those of the session, for this request.
            progress: draw a progress bar on standard error.

        Returns:
            An async iterator of frame numbers and predictions; see `VideoInference` on how to leave it early. It raises what `infer` does.

        Raises:
            ValueError: these are no frames.
        """
        connection = self._require_open()
        frames = video_state(start=start, count=count, stride=stride, direction=direction)

        async def prepare() -> Call:
            state = {**await self._state(settings), **frames}
            if isinstance(video, int):
                state |= {"videoId": video, "video_id": video}
                return self._calls.of_state("inference_video_id_async", state, is_repeatable=False)
            file = await file_upload(video)
            return self._calls.with_files("inference_video_async", [file], state, is_repeatable=False)

        inference = VideoInference(
            connection,
            self._calls,
            prepare,
            self._model,
            result_timeout=self._result_timeout,
            show_progress=progress,
            on_close=self._videos.discard,
        )
        self._videos.add(inference)
        return inference

    async def _find(self) -> tuple[Address, dict[str, str], str | None]:
        """Return where the model is, with the headers and the token that open it."""
        if self._platform is None:
            headers = {} if self._token is None else {"authorization": f"Bearer {self._token.reveal()}"}
            return self._address, headers, None
        async with self._platform as platform:
            address = await platform.session_address(self._task_id)
            token = platform.token.reveal()
        return address, {"x-api-key": token}, token

    async def _read_meta(self, info: SessionInfo) -> None:
        def convert(data: Any) -> tuple[Mapping[str, Any], Reader]:
            labels, nodes = labels_of(data)
            return data, Reader(labels, nodes, task_of(info.task_type))

        self._meta, self._reader = await self._ask("get_output_classes_and_tags", convert)

    async def _checked(self, settings: Settings) -> dict[str, Any]:
        found = await anyio.to_thread.run_sync(read_settings, settings)
        check_names(found, await self.default_settings())
        return found

    async def _state(self, settings: Settings | None) -> dict[str, Any]:
        own = {} if settings is None else await self._checked(settings)
        return {"settings": {**self._settings, **own}}

    async def _infer_batch(self, batch: list[Any], state: Mapping[str, Any]) -> list[Prediction]:
        if is_url(batch[0]):  # one
            call = self._calls.of_state("inference_image_url", {**state, "image_url": batch[0]})
            return [await self._read(call, self._model().prediction)]
        if is_id(batch[0]):
            ids = [int(each) for each in batch]
            call = self._calls.of_state("inference_batch_ids", {**state, "batch_ids": ids, "images_ids": ids})
        else:
            uploads = [await upload_of(each, index) for index, each in enumerate(batch)]
            call = self._calls.with_files("inference_batch", uploads, state, text="settings")
        predictions = await self._read(
            call, lambda data: [self._model().prediction(each) for each in list_at(data, "answer")]
        )
        if len(predictions) != len(batch):
            raise SessionError(
                f"{call.method}: malformed answer: {len(predictions)} predictions for {len(batch)} pictures"
            )
        return predictions

    async def _ask(self, method: str, convert: Callable[[Any], T]) -> T:
        return await self._read(self._calls.of_state(method, {"settings": self._settings}), convert)

    async def _read(self, call: Call, convert: Callable[[Any], T]) -> T:
        return await read(await self._require_open().ask(call), call.method, convert)

    def _model(self) -> Reader:
        self._require_open()
        assert self._reader is not None
        return self._reader

    def _require_open(self) -> "Connection":
        if self._connection is None:
            raise SessionError(f"{self}: use it in `async with`, or await open() first")
        return self._connection

    def _has_closed(self) -> None:
        self._connection = None
