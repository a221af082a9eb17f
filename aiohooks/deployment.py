"""Inference and hooks under one roof."""

import asyncio
import logging
import os
import threading
import time
import warnings
import weakref
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

import anyio
from numpy.typing import NDArray

from aiohooks import sources
from aiohooks.annotation import Label
from aiohooks.clients.geti import GetiClient, Progress
from aiohooks.errors import DeploymentError, InferQueueClosed, LoadError, SpecError
from aiohooks.frame import Frame
from aiohooks.hooks.deployment_folder import FolderHooks, hook_files, load_folder_hooks
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.outcome import OutcomeFeed, Outcomes
from aiohooks.hooks.running_hook import RunningHook, at_work
from aiohooks.hooks.triggers import introduce, named_labels
from aiohooks.inference.decoder import Decoder
from aiohooks.inference.geti_export import copy_project, export_model, save_folder
from aiohooks.inference.geti_folder import PROJECT_FILE, GetiProject, read_project
from aiohooks.inference.inference_counts import InferenceCounts
from aiohooks.inference.last_layer import LastLayer
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.inference.model import open_model
from aiohooks.inference.project_loading import open_project
from aiohooks.inference.remote_model import Prepare, RemoteOptions, RemoteServer
from aiohooks.inference.result import Result
from aiohooks.inference.stream import Stream
from aiohooks.monitor import AttachedMonitor, Monitor
from aiohooks.prediction import Prediction
from aiohooks.sources.convert import decoding_threads
from aiohooks.task_owner import TaskOwner

if TYPE_CHECKING:
    import openvino as ov


logger = logging.getLogger("aiohooks")

CANCEL_SECONDS = 5.0
"""How long cancelled hooks may take to end before the model is closed. What cannot be cancelled, such as a thread,
is waited for after that."""

LARGE_BYTES = 2 * 1024 * 1024
"""Pictures with more bytes than this are copied for hooks in a worker thread; this much takes half a millisecond."""

_read_for: ContextVar["Deployment | None"] = ContextVar("_read_for", default=None)

Image = sources.Picture


class FrameModel(Protocol):
    """Turns frames into predictions."""

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes it can predict."""

    @property
    def slots(self) -> int:
        """Inferences that run at once."""

    @property
    def explains(self) -> bool | None:
        """Whether predictions have a feature vector or saliency maps; None if only they tell."""

    def describe(self) -> ModelDescription:
        """Say what it is and how it runs."""

    def last_layer(self) -> LastLayer | None:
        """Return the numbers of a classifier's last layer, where it was found. Blocks."""

    async def infer(self, frame: Frame) -> Prediction:
        """Predict one frame."""

    def fail_waiting(self) -> None:
        """Fail the inferences that have not begun to run."""

    async def aclose(self) -> None:
        """Let what runs finish, fail what waits."""


@runtime_checkable
class TensorModel(Protocol):
    """A model that also takes its inputs as they are."""

    def describe(self) -> ModelDescription:
        """Say what its inputs and outputs are."""

    async def infer_tensors(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Return the outputs by name, from all inputs by name."""


class Deployment:
    """A model that is ready to infer, with the hooks that react to what it sees.

    Use it in ``async with``, or call `open` and `aclose`, from any tasks. It may be used by any number of tasks
    at once, in the event loop that opened it.

    Args:
        name: how messages call it.
        open_model: makes the model when the deployment opens.
        drain_timeout: seconds that hooks have to finish when it closes; what is left then is cancelled and counted.
        max_pixels: encoded pictures whose header tells of more are refused before their pixels are read.
    """

    def __init__(
        self,
        name: str,
        open_model: Callable[[], Awaitable[FrameModel]],
        *,
        drain_timeout: float = 10.0,
        max_pixels: int = sources.MAX_PIXELS,
    ) -> None:
        self.name = name
        self.max_pixels = max_pixels
        self.drain_timeout = drain_timeout
        self._open_model = open_model
        self._model: FrameModel | None = None
        self._origin: Any = None  # a GetiProject, or the path or model that was loaded
        self._parameters: Mapping[str, Any] = {}
        self._features: Literal[True] | str = "auto"
        self._owner = TaskOwner(f"aiohooks deployment {name}")
        self._feed = OutcomeFeed()
        self._hooks: tuple[RunningHook, ...] = ()
        self._monitors: tuple[AttachedMonitor, ...] = ()
        self._retiring: set[RunningHook] = set()
        self._streams: set[Stream] = set()
        self._counts = InferenceCounts()
        self._idle = anyio.Event()
        self._state = "new"
        self._opening = anyio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._leaves_saved_hooks = False
        self._scratch: TemporaryDirectory[str] | None = None

    @classmethod
    def load(
        cls,
        path: "str | os.PathLike[str] | ov.Model",
        *,
        device: str = "CPU",
        config: Mapping[str, Any] | None = None,
        model_type: str | None = None,
        labels: Sequence[str | Label] | str | os.PathLike[str] | None = None,
        decoder: Decoder | None = None,
        parameters: Mapping[str, Any] | None = None,
        max_requests: int | None = None,
        performance_hint: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        preprocessing: Literal["graph", "opencv"] = "graph",
        frame_size: tuple[int, int] | None = None,
        features: Literal[True] | str = "auto",
        hooks: bool = True,
        drain_timeout: float = 10.0,
        max_pixels: int = sources.MAX_PIXELS,
    ) -> Self:
        """Describe a deployment; reading and compiling the model waits for `open` or ``async with``.

        Args:
            path: a model file: .xml (OpenVINO), .onnx or .tflite; a model in memory; or the folder of a Geti deployment, which
                holds ``project.json`` or ``deployment/project.json``, of one task or a chain of them. Its code is never run.
            device: OpenVINO device: ``CPU``, ``GPU``, ``NPU``, ``AUTO`` …
            config: OpenVINO properties for compiling, such as ``{"INFERENCE_PRECISION_HINT": "f32"}``.
            model_type: Model API's name for the kind of model, such as ``Classification`` or ``ssd``, where the
                model's metadata does not say it.
            labels: names or `Label` objects in the order of the model's outputs, or a text file with one name a line.
            decoder: turns the model's raw outputs into a `Prediction`, for models that Model API does not know.
            parameters: Model API parameters such as ``confidence_threshold``, ``resize_type`` or ``mean_values``; for a chain of
                tasks, such a mapping for each title. A model
                exported for tiles is run on tiles; ``tile_size`` (with ``tiles_overlap`` and the like) has any detector or
                segmenter run on tiles, and ``{"tile_size": 0}`` has whole pictures inferred.
            max_requests: inferences that run at once; by default twice what the device calls optimal, so that it never waits for
                Python in between.
            performance_hint: OpenVINO's ``THROUGHPUT`` (default: many frames in flight, each on few cores) or ``LATENCY``
                (one at a time, on all cores: choose it where you await one picture after the other).
            cache_dir: folder in which OpenVINO keeps compiled models, so that opening again is quick.
            preprocessing: where pictures are resized and normalised. ``graph``: by OpenVINO inside the model, fastest and
                exactly rounded. ``opencv``: pixel for pixel as code that trains with OpenCV does it, in a worker thread.
            frame_size: height and width of every picture to come, where that is known: the graph resizes pictures of one
                size in less time, up to a third of all at 1080p. Others are refused.
            features: where the ``feature_vector`` of predictions is from. ``"auto"``: from the model, if it has such an output. True: from
                there, or else from the tensor that a classifier's last layer reads, which is then exposed. A name: from the tensor of
                that name, averaged over its positions. In a chain of tasks it is that of the first.
            hooks: attach the hooks that are saved in the folder, in ``aiohooks.json`` or else geti-sdk's ``hook_config.json``, and log
                their names. Nothing is asked of a server.
            drain_timeout: seconds that hooks have to finish when the deployment closes.
            max_pixels: encoded pictures whose header tells of more are refused before their pixels are read.

        Raises:
            SpecError: the saved hooks cannot be read; the message names file and spot.
            LoadError: there is no such file or folder, or it is not what can be loaded; ``model_type``, ``labels`` or ``decoder``
                is given for a folder, which says all that itself.
        """
        running: dict[str, Any] = {
            "device": device,
            "config": config,
            "parameters": parameters,
            "max_requests": max_requests,
            "performance_hint": performance_hint,
            "cache_dir": cache_dir,
            "preprocessing": preprocessing,
            "frame_size": frame_size,
            "features": features,
        }
        telling = {"model_type": model_type, "labels": labels, "decoder": decoder}
        open_it: Callable[[], Awaitable[FrameModel]]
        saved: FolderHooks | None = None
        origin: Any = path
        if isinstance(path, (str, os.PathLike)) and Path(path).is_dir():
            origin = project = read_project(path)
            if unwanted := [keyword for keyword, value in telling.items() if value is not None]:
                raise LoadError(
                    f"{path}: {', '.join(unwanted)} cannot be given for a Geti deployment, which says it in {PROJECT_FILE} and the "
                    "models; leave it out, or load a model file from a task's folder"
                )
            name, open_it = project.name, partial(open_project, project, **running)
            saved = _saved_hooks(project.folder) if hooks else None
        else:
            if not isinstance(path, (str, os.PathLike)):
                name = path.get_friendly_name()
            elif Path(path).exists():
                name = Path(path).stem
            else:
                raise LoadError(
                    f"{path}: there is no such file or folder"
                    + ("" if Path(path).is_absolute() else f" in the working directory, {Path.cwd()}")
                )
            open_it = partial(open_model, path, **telling, **running)
        deployment = cls(name, open_it, drain_timeout=drain_timeout, max_pixels=max_pixels)
        deployment._origin, deployment._parameters, deployment._features = origin, parameters or {}, features
        deployment._leaves_saved_hooks = not hooks
        if saved is not None:
            attached = [deployment.add_hook(hook).name for hook in saved.hooks]
            logger.info("deployment %s: attached the hooks in %s: %s", name, saved.path, ", ".join(attached) or "none")
        return deployment

    @classmethod
    def remote(
        cls,
        url: str,
        model: str,
        *,
        like: "str | os.PathLike[str] | ov.Model | None" = None,
        decoder: Decoder | None = None,
        prepare: Prepare | None = None,
        labels: Sequence[str | Label] = (),
        token_env: str | None = None,
        timeout: float = 30.0,
        max_requests: int = 16,
        drain_timeout: float = 10.0,
        max_pixels: int = sources.MAX_PIXELS,
        **load: Any,
    ) -> Self:
        """Describe a deployment whose inferences run on a server that speaks the Open Inference Protocol; hooks run here.

        A deployment that ``aiohooks serve`` serves takes pictures and gives predictions: ``url`` and ``model`` are enough. For a model
        on another server (OpenVINO Model Server, KServe, Triton) either its file says how pictures are prepared and outputs are read, or
        ``prepare`` and ``decoder`` do it.

        Args:
            url: of the server, such as ``http://cluster:8000``.
            model: its name there.
            like: the model's file here; it is read, not compiled.
            decoder: turns the outputs into a `Prediction`.
            prepare: turns RGB pixels into the inputs by name.
            labels: names or `Label` objects, beside a ``decoder``.
            token_env: environment variable with the token that the server wants.
            timeout: seconds for one inference with its retries: what may pass, such as overload, is tried again.
            max_requests: inferences under way at once.
            drain_timeout: seconds that hooks have to finish when the deployment closes.
            max_pixels: encoded pictures whose header tells of more are refused before their pixels are read.
            load: ``model_type``, ``parameters``, ``preprocessing`` for ``like``, as of `load`.

        Raises:
            SpecError: the URL is not one, the environment variable is not set, or arguments do not go together.
            LoadError: on opening: the server cannot be asked, has no such model, or another one than ``like``.
        """
        if like is not None and (decoder is not None or prepare is not None):
            raise SpecError("remote: give like, the model's file, or decoder and prepare")
        if (decoder is None) != (prepare is None):
            raise SpecError(
                "remote: decoder and prepare belong together: one makes the inputs, the other reads the outputs"
            )
        token = None if token_env is None else os.environ.get(token_env)
        if token_env is not None and not token:
            raise SpecError(f"token_env: the environment variable {token_env} is not set; set it to the server's token")
        table = tuple(label if isinstance(label, Label) else Label(name=label) for label in labels)
        options = RemoteOptions(model, like, load, decoder, prepare, table, max_requests)
        client = RemoteServer(url, token, timeout, max_requests)
        return cls(model, partial(client.open, options), drain_timeout=drain_timeout, max_pixels=max_pixels)

    @classmethod
    async def from_geti(
        cls,
        client: GetiClient,
        project: str,
        folder: str | os.PathLike[str] | None = None,
        *,
        xai: bool = False,
        replace: bool = False,
        progress: Progress | None = None,
        **arguments: Any,
    ) -> Self:
        """Download the models of a project in Intel Geti and describe them as a deployment, as `load` does.

        Args:
            client: of the server, open.
            project: name or id.
            folder: keeps the download, as ``folder/deployment``; by default it is gone once the deployment has closed.
            xai: the models must explain their predictions.
            replace: an older download in that folder may be replaced.
            progress: called while it is downloaded.
            arguments: those of `load`. Hooks that lie in the download are attached with ``hooks=True`` only: they may send what they see,
                and environment variables, to where they say.

        Raises:
            SessionError: as `GetiClient.download_deployment`.
            LoadError: as `load`.
        """
        scratch = None
        if folder is None:
            scratch = TemporaryDirectory(prefix="aiohooks-")
            folder = scratch.name
        try:
            path = await client.download_deployment(project, folder, xai=xai, replace=replace, progress=progress)
            deployment = cls.load(path, **{"hooks": False} | arguments)
        except BaseException:
            if scratch is not None:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(scratch.cleanup)
            raise
        deployment._scratch = scratch  # its own
        return deployment

    async def save(self, folder: str | os.PathLike[str], *, hooks: bool = True, overwrite: bool = False) -> Path:
        """Write a Geti deployment folder, which `load` and geti-sdk load again: ``folder/deployment``, whole or not at all.

        The files of a Geti deployment are copied as they are, without its code. A single model becomes a project of one task, with
        the labels and parameters that it was loaded with; it must be open. Saving a Geti deployment to where it was loaded from
        leaves its models alone.

        Its hooks go into ``aiohooks.json``, and those that geti-sdk can have into ``hook_config.json`` too; which it cannot, and why, is
        logged. No secret is written.

        Args:
            folder: made if it is missing; if it is called ``deployment`` itself, it is written into.
            hooks: save its hooks; otherwise none are, and those that are saved in the folder that it was loaded from stay there, as
                they do where it was loaded without hooks and got none.
            overwrite: replace a deployment that is there.

        Returns:
            The folder that holds ``project.json``.

        Raises:
            DeploymentError: another deployment or other files are there, it cannot be written, or a single model is not open.
            SpecError: a decoder, which is code, decodes the model; or a hook cannot be saved, because its trigger or action is code
                that no entry point names. Nothing is written.
        """
        origin = self._origin
        saves_hooks = hooks and (bool(self._hooks) or not self._leaves_saved_hooks)
        beside = hook_files([running.hook for running in self._hooks]) if saves_hooks else {}
        if origin is None:
            raise DeploymentError(
                f"deployment {self.name} was not loaded from a model or a folder, so there is nothing to save"
            )
        if isinstance(origin, GetiProject):
            if self._parameters or self._features != "auto":
                what = "parameters" if self._parameters else "features"
                logger.warning("the %s that %s was loaded with are not saved: give them again", what, self.name)
            source, write = origin.folder, partial(copy_project, origin)
        else:
            description, labels = self.describe(), self.labels
            source, write = (
                None,
                partial(
                    export_model,
                    origin,
                    description=description,
                    labels=labels,
                    parameters=self._parameters,
                    features=self._features,
                ),
            )
        return await anyio.to_thread.run_sync(
            partial(save_folder, Path(folder), write, beside, source=source, overwrite=overwrite)
        )

    def __repr__(self) -> str:
        return f"Deployment({self.name!r}, {self._state}, hooks={[hook.name for hook in self._hooks]})"

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            if self._state == "new" and self._scratch is not None:
                await self.aclose()  # nobody else will
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def is_open(self) -> bool:
        """Whether it takes work: it has been opened and does not close."""
        return self._state == "open"

    @property
    def model(self) -> FrameModel:
        """The model behind it.

        Raises:
            DeploymentError: it is not open.
        """
        if self._model is None:
            raise DeploymentError(f"deployment {self.name} is {self._state}: {_HOW_TO_OPEN[self._state]}")
        return self._model

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes that it can predict."""
        return self.model.labels

    @property
    def counts(self) -> InferenceCounts:
        """What became of its inferences so far, and how long they took."""
        return self._counts

    def describe(self) -> ModelDescription:
        """Say what the model is and how it runs: task, labels, inputs, outputs, device, precision, parameters.

        Raises:
            DeploymentError: the deployment is not open.
        """
        return self.model.describe()

    async def last_layer(self) -> LastLayer | None:
        """Return the weights and the bias of a classifier's last layer; None if it gives no feature vector or none was found."""
        return await anyio.to_thread.run_sync(self.model.last_layer)

    async def open(self) -> None:
        """Read and compile the model, in a worker thread, and start the hooks.

        Raises:
            LoadError: the model cannot be loaded.
            SpecError: the model does not give what a trigger or a monitor needs.
            DeploymentError: it was opened before.
        """
        if self._state != "new":
            raise DeploymentError(f"deployment {self.name} is {self._state}; load it again to open it again")
        self._state = "opening"
        self._opening = anyio.Event()
        try:
            await self._owner.open()
            model = await self._open_model()
            try:
                for monitor in self._monitors:
                    monitor.monitor.attached(model.describe())
                for hook in self._hooks:
                    introduce(hook.hook.trigger, model.describe())
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await model.aclose()
                raise
            self._model = model
            self._state = "open"
        finally:
            if self._model is None:
                with anyio.CancelScope(shield=True):
                    await self._owner.aclose()
                self._owner = TaskOwner(f"aiohooks deployment {self.name}")
                self._state = "new"
            self._opening.set()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._finalizer = weakref.finalize(self, _warn_unclosed, self.name)
        for hook in self._hooks:
            self._start_hook(hook)

    async def aclose(self) -> None:
        """Finish what runs, drain the hooks within ``drain_timeout``, cancel and count what is left.

        What hooks with a ``delivery`` have kept and not delivered by then stays where it is kept, for the next start.

        A trigger, action or source that closes its own deployment is cancelled with the rest.

        Raises:
            DeploymentError: it belongs to another event loop, which still runs.
        """
        if self._state == "opening":
            await self._opening.wait()
        if self._loop is not None and self._loop is not asyncio.get_running_loop():
            await self._close_after_its_loop()
        elif self._state == "new":
            self._has_closed()
        elif self._state == "open":
            self._state = "closing"
            # In a task of its own: whoever waits for it may be cancelled, or be part of what is shut down.
            self._closing = asyncio.get_running_loop().create_task(self._shut_down(), name=f"closing {self.name}")
        if self._closing is not None:
            with anyio.CancelScope(shield=not self._is_own_work()):
                await asyncio.wait([self._closing])
        if self._scratch is not None and self._state == "closed":
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._scratch.cleanup)
        if self._closing is not None:
            self._closing.result()

    async def _shut_down(self) -> None:
        model = self.model
        try:
            for stream in list(self._streams):
                await stream.abort(InferQueueClosed(f"deployment {self.name} closed while a stream was being read"))
            model.fail_waiting()
            with anyio.move_on_after(self.drain_timeout):
                await self.drained()
                async with anyio.create_task_group() as delivering:
                    for hook in (*self._hooks, *self._retiring):
                        delivering.start_soon(hook.delivered)
            async with anyio.create_task_group() as closing:
                hooks_closed = anyio.Event()
                closing.start_soon(self._close_hooks, hooks_closed)
                with anyio.move_on_after(CANCEL_SECONDS):
                    await hooks_closed.wait()
                await model.aclose()
            await self._owner.aclose()
        finally:
            self._has_closed()

    async def _close_hooks(self, closed: anyio.Event) -> None:
        async with anyio.create_task_group() as closing:
            for hook in (*self._hooks, *self._retiring):
                closing.start_soon(hook.aclose)
        closed.set()

    async def _close_after_its_loop(self) -> None:
        """Give back what outlives an event loop; tasks, hooks and streams have died with it."""
        if self._loop is not None and not self._loop.is_closed():
            raise DeploymentError(f"deployment {self.name} belongs to another event loop: close it there")
        if self._model is not None:
            await self._model.aclose()
        self._has_closed()

    def _has_closed(self) -> None:
        self._state = "closed"
        self._model = None
        if self._finalizer is not None:
            self._finalizer.detach()
        self._feed.end()

    def _is_own_work(self) -> bool:
        """Say whether the caller is a trigger, an action or a source at work for this deployment."""
        return self._feed in at_work.get() or _read_for.get() is self

    def _is_in_its_loop(self) -> bool:
        # asyncio.get_running_loop is a system call in Python 3.11. A thread runs one loop at a time.
        return threading.get_ident() == self._thread and self._loop is not None and self._loop.is_running()

    async def drained(self) -> None:
        """Wait until no inference is under way and the hooks have finished what they saw."""
        if self._model is None:
            return
        while self._counts.under_way:
            if self._idle.is_set():
                self._idle = anyio.Event()
            await self._idle.wait()
        async with anyio.create_task_group() as draining:
            for hook in (*self._hooks, *self._retiring):
                draining.start_soon(hook.drained)

    async def infer(self, image: Image, *, name: str | None = None, context: Any = None) -> Prediction:
        """Predict one picture and show it to the hooks.

        What a trigger or action infers on its own deployment is not shown to the hooks again.

        Args:
            image: RGB uint8 pixels of shape H×W×3, a path, encoded bytes or a `Frame`. Pixels are read in place:
                do not write to them before the prediction is there.
            name: what hooks and messages call the picture; by default the name of its file.
            context: for hooks and outcomes to find again.

        Raises:
            FrameError: it is not a picture that can be read.
            InferenceError: the model failed on it.
            DeploymentError: the deployment is not open.
            InferQueueClosed: the deployment closed before the model could run.
        """
        frame = sources.wrap(image, 0) if name is None and context is None else None
        if frame is None:
            frame = await sources.as_frame(image, name=name, context=context, max_pixels=self.max_pixels)
        return await self._infer_frame(frame)

    async def infer_many(self, images: Iterable[Image] | AsyncIterable[Image]) -> list[Result]:
        """Predict several pictures at once; results in their order, each with a prediction or an error."""
        async with self.stream(images) as results:
            return [result async for result in results]

    async def explain(self, image: Image) -> Prediction:
        """Predict one picture and insist on what explains it: ``feature_vector`` or ``saliency_maps``.

        Raises:
            DeploymentError: the model gives neither; export it with its explanation (XAI) outputs.
        """
        return self._explained(await self.infer(image))

    def stream(
        self,
        frames: Iterable[Image] | AsyncIterable[Image],
        *,
        ordered: bool = True,
        max_in_flight: int | None = None,
        explain: bool = False,
        hooks: bool = True,
    ) -> Stream:
        """Infer the frames of a source as they come.

        Args:
            frames: any iterable or async iterable of what `infer` takes, such as `video`, `folder` or `camera`.
            ordered: results in the order of the frames; else as they finish.
            max_in_flight: frames in memory at most, beside those that the source decodes ahead; by default twice the
                model's slots.
            explain: insist on what explains the predictions, as `explain` does.
            hooks: show the predictions to hooks and monitors.

        Arrays are read in place until their result is out: a source that reuses its buffer must yield copies.

        Returns:
            An async iterator of `Result`; see `Stream` on how to leave it early.

        Raises:
            DeploymentError: the deployment is not open, or ``explain`` is asked of a model that cannot.
        """
        if self._state != "open" and not self._is_own_work():
            raise DeploymentError(f"deployment {self.name} is {self._state}: {_HOW_TO_OPEN[self._state]}")
        if explain and self.model.explains is False:
            raise DeploymentError(self._unexplained)
        infer = self._infer_frame if hooks else self._infer_unseen
        stream = Stream(
            sources.frames(frames, max_pixels=self.max_pixels),
            partial(self._explain_frame, infer) if explain else infer,
            take=self._copy_for_hooks if hooks else None,
            ordered=ordered,
            max_in_flight=2 * self.model.slots if max_in_flight is None else max_in_flight,
            start_soon=self._start_reading,
            on_close=self._streams.discard,
        )
        self._streams.add(stream)
        return stream

    @property
    def hooks(self) -> tuple[RunningHook, ...]:
        """Its hooks, in the order in which they were added, with their counts."""
        return self._hooks

    def add_hook(self, hook: PostInferenceHook) -> RunningHook:
        """Add a hook; it sees every inference that begins after this.

        Returns:
            The hook at work, with its ``counts``.

        Raises:
            DeploymentError: the deployment is closed.
            SpecError: it is not a hook, or the model does not give what its trigger needs.
        """
        if self._state in ("closing", "closed"):
            raise DeploymentError(f"deployment {self.name} is {self._state}; it takes no more hooks")
        if not isinstance(hook, PostInferenceHook):
            raise SpecError(f"add_hook takes a PostInferenceHook(trigger=…, action=…), got {hook!r}")
        running = RunningHook(hook, self._feed)
        if self._state == "open":
            introduce(hook.trigger, self.describe())
            self._start_hook(running)
        self._hooks = (*self._hooks, running)
        return running

    def remove_hook(self, hook: RunningHook | PostInferenceHook) -> None:
        """Take a hook away; what it has already seen is finished in the background.

        Raises:
            DeploymentError: it is not a hook of this deployment.
        """
        found = [running for running in self._hooks if hook in (running, running.hook, running.origin)]
        if not found:
            raise DeploymentError(f"{hook!r} is not a hook of deployment {self.name}")
        self._hooks = tuple(running for running in self._hooks if running not in found)
        if self._state in ("open", "closing"):
            for running in found:
                self._retiring.add(running)
                self._owner.start_soon(self._retire, running)

    def clear_hooks(self) -> None:
        """Take all hooks away, as `remove_hook` does."""
        for running in self._hooks:
            self.remove_hook(running)

    @property
    def monitors(self) -> tuple[AttachedMonitor, ...]:
        """Its monitors, in the order in which they were attached, with what they have seen."""
        return self._monitors

    def attach(self, monitor: Monitor) -> AttachedMonitor:
        """Show a monitor every prediction that begins after this, before hooks and whoever awaits it see it.

        What hooks infer on their own deployment is not shown to it.

        Returns:
            The monitor at work, with its counts.

        Raises:
            DeploymentError: the deployment is closed.
            SpecError: it is not a monitor, or the model does not give what it needs; before the model is loaded `open` says so.
        """
        if self._state in ("closing", "closed"):
            raise DeploymentError(f"deployment {self.name} is {self._state}; it takes no more monitors")
        if isinstance(monitor, type) or not all(
            callable(getattr(monitor, name, None)) for name in ("attached", "observe")
        ):
            raise SpecError(f"attach takes a monitor, such as an OODModel, got {monitor!r}")
        if self._state == "open":
            monitor.attached(self.describe())
        attached = AttachedMonitor(monitor)
        self._monitors = (*self._monitors, attached)
        return attached

    def detach(self, monitor: Monitor | AttachedMonitor) -> None:
        """Take a monitor away; inferences that are under way may still be shown to it.

        Raises:
            DeploymentError: it is not attached.
        """
        left = tuple(one for one in self._monitors if one is not monitor and one.monitor is not monitor)
        if len(left) == len(self._monitors):
            raise DeploymentError(f"{monitor!r} is not attached to deployment {self.name}")
        self._monitors = left

    def outcomes(self, buffer: int = 1024) -> Outcomes:
        """Follow what the hooks do from now on; ends when the deployment has drained.

        Args:
            buffer: outcomes that may wait for the reader; of more, the oldest are lost and counted in ``missed``.
        """
        return self._feed.subscribe(buffer)

    def _start_reading(self, function: Callable[..., Coroutine[Any, Any, Any]], /, *args: Any) -> None:
        before = _read_for.set(self)
        try:
            self._owner.start_soon(function, *args)
        finally:
            _read_for.reset(before)

    def _start_hook(self, hook: RunningHook) -> None:
        known = [label.name for label in self.labels]
        unknown = sorted(named_labels(hook.hook.trigger).difference(known))
        if unknown and known:
            logger.warning(
                "hook %s asks for labels that %s does not know: %s; it knows %s",
                hook.name,
                self.name,
                unknown,
                shorten(", ".join(known), 200, placeholder=" …"),
            )
        hook.start(self._owner.start_soon)

    async def _retire(self, hook: RunningHook) -> None:
        await hook.drained()
        with anyio.move_on_after(self.drain_timeout):
            await hook.delivered()
        await hook.aclose()
        self._retiring.discard(hook)

    async def _explain_frame(self, infer: Callable[[Frame], Awaitable[Prediction]], frame: Frame) -> Prediction:
        return self._explained(await infer(frame))

    def _explained(self, prediction: Prediction) -> Prediction:
        if prediction.feature_vector is None and prediction.saliency_maps is None:
            raise DeploymentError(self._unexplained)
        return prediction

    @property
    def _unexplained(self) -> str:
        return (
            f"deployment {self.name} has neither a `feature_vector` nor a `saliency_map` output;"
            " export the model with its explanation (XAI) outputs, or load it with features=True"
        )

    async def _copy_for_hooks(self, frame: Frame) -> Frame:
        if not self._hooks:
            return frame
        if frame.image.nbytes <= LARGE_BYTES and frame.image.flags.c_contiguous:
            return frame.snapshot()
        return await anyio.to_thread.run_sync(frame.snapshot, limiter=decoding_threads())

    async def _infer_unseen(self, frame: Frame) -> Prediction:
        return await self._infer_frame(frame, seen=False)

    async def _infer_frame(self, frame: Frame, *, seen: bool = True) -> Prediction:
        model = self.model
        if not self._is_in_its_loop():
            raise DeploymentError(f"deployment {self.name} belongs to another event loop: open one in each")
        inside_a_hook = self._feed in at_work.get()
        if self._state == "closing" and not inside_a_hook:
            raise InferQueueClosed(f"deployment {self.name} is closing; it takes no more work")
        is_shown = seen and not inside_a_hook
        hooks, monitors = (self._hooks, self._monitors) if is_shown else ((), ())
        if hooks and not frame.owned:
            frame = await self._copy_for_hooks(frame)
        counts = self._counts
        counts.under_way += 1
        started = time.monotonic()
        prediction = None
        try:
            prediction = await model.infer(frame)
            counts.done += 1
            counts.recent.append(time.monotonic() - started)
            for monitor in monitors:
                prediction = await monitor.observe(frame, prediction)
            for hook in hooks:
                await hook.see(frame, prediction)
            return prediction
        finally:
            if prediction is None:
                counts.failed += 1
            counts.under_way -= 1
            if not counts.under_way:
                self._idle.set()


_HOW_TO_OPEN = {
    "new": "use it in `async with`, or await open() first",
    "opening": "wait for open() to return",
    "closing": "it takes no more work",
    "closed": "load it again",
}


def _saved_hooks(folder: Path) -> FolderHooks | None:
    try:
        return load_folder_hooks(folder)
    except SpecError as error:
        raise SpecError(f"{error}. With hooks=False the deployment is loaded without them") from error.__cause__


def _warn_unclosed(name: str) -> None:
    warnings.warn(
        f"deployment {name} was never closed; use `async with` or await aclose()", ResourceWarning, stacklevel=2
    )
