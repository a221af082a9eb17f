"""Inference and hooks under one roof."""

import logging
import os
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import anyio

from aiohooks import sources
from aiohooks.annotation import Label
from aiohooks.clients.geti import GetiClient, Progress
from aiohooks.deployment.attached_monitors import AttachedMonitors
from aiohooks.deployment.frame_model import FrameModel, ModelOpener
from aiohooks.deployment.inference_counts import InferenceCounts
from aiohooks.deployment.life_cycle import LifeCycle
from aiohooks.deployment.loading import find, find_remote
from aiohooks.deployment.open_streams import OpenStreams
from aiohooks.deployment.origin import Origin
from aiohooks.deployment.predictor import Predictor
from aiohooks.deployment.running_hooks import RunningHooks
from aiohooks.errors import DeploymentError, InferQueueClosed
from aiohooks.frame import Frame
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.outcome import OutcomeFeed, Outcomes
from aiohooks.hooks.running_hook import RunningHook
from aiohooks.inference.decoder import Decoder
from aiohooks.inference.last_layer import LastLayer
from aiohooks.inference.loaded_model import ModelDescription
from aiohooks.inference.remote_model import Prepare
from aiohooks.inference.result import Result
from aiohooks.inference.stream import Stream
from aiohooks.monitor import AttachedMonitor, Monitor
from aiohooks.prediction import Prediction

if TYPE_CHECKING:
    import openvino as ov


logger = logging.getLogger("aiohooks")

CANCEL_SECONDS = 5.0
"""How long cancelled hooks may take to end before the model is closed. What cannot be cancelled, such as a thread,
is waited for after that."""

Image = sources.Picture


class Deployment:
    """A model that is ready to infer, with the hooks that react to what it sees.

    Use it in ``async with``, or call `open` and `aclose`, from any tasks. It may be used by any number of tasks
    at once, in the event loop that opened it.

    Args:
        name: its name in messages.
        open_model: makes the model when the deployment opens.
        drain_timeout: seconds that hooks have to finish when it closes; what is left then is cancelled and counted.
        max_pixels: encoded pictures whose header announces more pixels are refused before their pixels are read.
    """

    def __init__(
        self,
        name: str,
        open_model: ModelOpener,
        *,
        drain_timeout: float = 10.0,
        max_pixels: int = sources.MAX_PIXELS,
    ) -> None:
        self.name = name
        self.max_pixels = max_pixels
        self.drain_timeout = drain_timeout
        self._feed = OutcomeFeed()
        self._life = LifeCycle(name, open_model, self._feed.end)
        self._hooks = RunningHooks(name, self._life, self._feed)
        self._monitors = AttachedMonitors(name, self._life)
        self._predictor = Predictor(name, self._life, self._monitors, self._hooks)
        self._streams = OpenStreams(self._life)
        self._origin: Origin | None = None
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
                tasks, a mapping from each task's title to its parameters. A model exported for tiles is run on tiles;
                ``tile_size`` (with ``tiles_overlap`` and the like) runs any detector or segmenter on tiles, and
                ``{"tile_size": 0}`` infers whole pictures.
            max_requests: inferences that run at once; by default twice what the device calls optimal, so that it never waits for
                Python in between.
            performance_hint: OpenVINO's ``THROUGHPUT`` (default: many frames in flight, each on few cores) or ``LATENCY``
                (one at a time, on all cores: choose it where you await one picture after the other).
            cache_dir: folder in which OpenVINO keeps compiled models, so that opening again is quick.
            preprocessing: where pictures are resized and normalised. ``graph``: by OpenVINO inside the model, fastest and
                exactly rounded. ``opencv``: pixel for pixel as code that trains with OpenCV does it, in a worker thread.
            frame_size: height and width of every picture, if they all have the same: the graph then resizes them faster,
                which saves up to a third of the time of an inference at 1080p. Pictures of another size are refused.
            features: where the ``feature_vector`` of predictions comes from. ``"auto"``: from the model's output of that name, if
                it has one. True: from that output, or else from the input of a classifier's last layer, which is then exposed. A
                name: from the tensor of that name, averaged over its positions. In a chain of tasks, the first one gives it.
            hooks: attach the hooks that are saved in the folder, in ``aiohooks.json`` or else geti-sdk's ``hook_config.json``, and log
                their names. No server is contacted.
            drain_timeout: seconds that hooks have to finish when the deployment closes.
            max_pixels: encoded pictures whose header announces more pixels are refused before their pixels are read.

        Raises:
            SpecError: the saved hooks cannot be read; the message names file and spot.
            LoadError: there is no such file or folder, or it is not what can be loaded; ``model_type``, ``labels`` or ``decoder``
                is given for a folder, which determines them itself.
        """
        found = find(
            path,
            about_a_model={"model_type": model_type, "labels": labels, "decoder": decoder},
            options={
                "device": device,
                "config": config,
                "parameters": parameters,
                "max_requests": max_requests,
                "performance_hint": performance_hint,
                "cache_dir": cache_dir,
                "preprocessing": preprocessing,
                "frame_size": frame_size,
                "features": features,
            },
            hooks=hooks,
        )
        deployment = cls(found.name, found.open_model, drain_timeout=drain_timeout, max_pixels=max_pixels)
        deployment._origin = Origin(found.source, parameters or {}, features, with_hooks=hooks)
        if found.hooks is not None:
            attached = [deployment.add_hook(hook).name for hook in found.hooks.hooks]
            logger.info(
                "deployment %s: attached the hooks in %s: %s",
                found.name,
                found.hooks.path,
                ", ".join(attached) or "none",
            )
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
            token_env: name of the environment variable that holds the server's token.
            timeout: seconds for one inference with its retries: transient failures, such as overload, are retried.
            max_requests: inferences under way at once.
            drain_timeout: seconds that hooks have to finish when the deployment closes.
            max_pixels: encoded pictures whose header announces more pixels are refused before their pixels are read.
            load: ``model_type``, ``parameters`` and ``preprocessing`` for ``like``, as for `load`.

        Raises:
            SpecError: the URL is not one, the environment variable is not set, or arguments do not go together.
            LoadError: on opening: the server cannot be reached, has no such model, or its model differs from ``like``.
        """
        open_model = find_remote(
            url,
            model,
            like=like,
            decoder=decoder,
            prepare=prepare,
            labels=labels,
            token_env=token_env,
            timeout=timeout,
            max_requests=max_requests,
            load=load,
        )
        return cls(model, open_model, drain_timeout=drain_timeout, max_pixels=max_pixels)

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
            arguments: those of `load`. Hooks in the download are attached only with ``hooks=True``: they may send what they see,
                and environment variables, to addresses that they name.

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

        Its hooks go into ``aiohooks.json``, and those that geti-sdk can express into ``hook_config.json`` too; the others are logged,
        with the reason. No secret is written.

        Args:
            folder: made if it is missing; if it is called ``deployment`` itself, it is written into.
            hooks: save its hooks. With False, or if it was loaded with ``hooks=False`` and none were added, no hooks are written,
                and those already in the folder that it was loaded from stay there.
            overwrite: replace a deployment that is there.

        Returns:
            The folder that holds ``project.json``.

        Raises:
            DeploymentError: another deployment or other files are there, it cannot be written, or a single model is not open.
            SpecError: the model has a `Decoder`, which is code; or a hook cannot be saved, because its trigger or action is code
                that no entry point names. Nothing is written.
        """
        if self._origin is None:
            raise DeploymentError(
                f"deployment {self.name} was not loaded from a model or a folder, so there is nothing to save"
            )
        return await self._origin.save(
            Path(folder),
            name=self.name,
            life=self._life,
            hooks=[running.hook for running in self.hooks] if hooks else None,
            overwrite=overwrite,
        )

    def __repr__(self) -> str:
        return f"Deployment({self.name!r}, {self._life.state}, hooks={[hook.name for hook in self.hooks]})"

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            if self._life.state == "new" and self._scratch is not None:
                await self.aclose()  # nobody else will
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def is_open(self) -> bool:
        """Whether it takes work: it is opened, and not closing."""
        return self._life.state == "open"

    @property
    def model(self) -> FrameModel:
        """The model.

        Raises:
            DeploymentError: it is not open.
        """
        return self._life.model

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes that it can predict."""
        return self.model.labels

    @property
    def counts(self) -> InferenceCounts:
        """What became of its inferences so far, and how long they took."""
        return self._predictor.counts

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
        await self._life.open(self._accept)
        self._hooks.start()

    async def aclose(self) -> None:
        """Finish what runs, drain the hooks within ``drain_timeout``, cancel and count what is left.

        Events that hooks with a ``delivery`` have stored and not delivered by then stay in the store for the next start.

        A trigger, action or source that closes its own deployment is cancelled with the rest.

        Raises:
            DeploymentError: it belongs to another event loop, which still runs.
        """
        is_own_work = self._hooks.are_at_work() or self._streams.are_at_work()
        try:
            await self._life.aclose(self._shut_down, is_own_work=is_own_work)
        finally:
            if self._scratch is not None and self._life.state == "closed":
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self._scratch.cleanup)

    async def drained(self) -> None:
        """Wait until no inference is under way and the hooks have finished what they saw."""
        if self._life.has_model:
            await self._predictor.idle()
            await self._hooks.drained()

    async def infer(self, image: Image, *, name: str | None = None, context: Any = None) -> Prediction:
        """Predict one picture and show it to the hooks.

        What a trigger or action infers on its own deployment is not shown to the hooks again.

        Args:
            image: RGB uint8 pixels of shape H×W×3, a path, encoded bytes or a `Frame`. Pixels are read in place:
                do not write to them before the prediction is there.
            name: of the picture, for hooks and messages; by default the name of its file.
            context: anything to be found again on the frame, by hooks and in outcomes.

        Raises:
            FrameError: it is not a picture that can be read.
            InferenceError: the model failed on it.
            DeploymentError: the deployment is not open.
            InferQueueClosed: the deployment closed before the model could run.
        """
        frame = sources.wrap(image, 0) if name is None and context is None else None
        if frame is None:
            frame = await sources.as_frame(image, name=name, context=context, max_pixels=self.max_pixels)
        return await self._predictor.infer(frame)

    async def infer_many(self, images: Iterable[Image] | AsyncIterable[Image]) -> list[Result]:
        """Predict several pictures at once; results in their order, each with a prediction or an error."""
        async with self.stream(images) as results:
            return [result async for result in results]

    async def explain(self, image: Image) -> Prediction:
        """Predict one picture, and make sure that ``feature_vector`` or ``saliency_maps`` explain the prediction.

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
            explain: make sure that the predictions are explained, as `explain` does.
            hooks: show the predictions to hooks and monitors.

        Arrays are read in place until their result is out: a source that reuses its buffer must yield copies.

        Returns:
            An async iterator of `Result`; see `Stream` on how to leave it early.

        Raises:
            DeploymentError: the deployment is not open, or ``explain`` is set and the model cannot explain.
        """
        if not self.is_open and not self._hooks.are_at_work() and not self._streams.are_at_work():
            raise self._life.not_open()
        if explain and self.model.explains is False:
            raise DeploymentError(self._unexplained)
        infer = self._predictor.infer if hooks else self._predictor.infer_unseen
        return self._streams.open(
            sources.frames(frames, max_pixels=self.max_pixels),
            partial(self._explain_frame, infer) if explain else infer,
            take=self._predictor.copy_for_hooks if hooks else None,
            ordered=ordered,
            max_in_flight=2 * self.model.slots if max_in_flight is None else max_in_flight,
        )

    @property
    def hooks(self) -> tuple[RunningHook, ...]:
        """Its hooks, in the order in which they were added, with their counts."""
        return self._hooks.shown

    def add_hook(self, hook: PostInferenceHook) -> RunningHook:
        """Add a hook; it sees every inference that begins after this.

        Returns:
            The hook at work, with its ``counts``.

        Raises:
            DeploymentError: the deployment is closed.
            SpecError: it is not a hook, or the model does not give what its trigger needs.
        """
        return self._hooks.add(hook)

    def remove_hook(self, hook: RunningHook | PostInferenceHook) -> None:
        """Take a hook away; what it has already seen is finished in the background.

        Raises:
            DeploymentError: it is not a hook of this deployment.
        """
        self._hooks.remove(hook, self.drain_timeout)

    def clear_hooks(self) -> None:
        """Take all hooks away, as `remove_hook` does."""
        for running in self.hooks:
            self.remove_hook(running)

    @property
    def monitors(self) -> tuple[AttachedMonitor, ...]:
        """Its monitors, in the order in which they were attached, with what they have seen."""
        return self._monitors.shown

    def attach(self, monitor: Monitor) -> AttachedMonitor:
        """Show a monitor the prediction of every inference that begins after this, before the hooks and the caller see it.

        What hooks infer on their own deployment is not shown to it.

        Returns:
            The monitor at work, with its counts.

        Raises:
            DeploymentError: the deployment is closed.
            SpecError: it is not a monitor, or the model does not give what it needs; if that is not loaded yet, `open` raises this.
        """
        return self._monitors.attach(monitor)

    def detach(self, monitor: Monitor | AttachedMonitor) -> None:
        """Take a monitor away; inferences that are under way may still be shown to it.

        Raises:
            DeploymentError: it is not attached.
        """
        self._monitors.detach(monitor)

    def outcomes(self, buffer: int = 1024) -> Outcomes:
        """Follow what the hooks do from now on; ends when the deployment has drained.

        Args:
            buffer: outcomes kept for a slow reader; beyond that the oldest are dropped, and counted in ``missed``.
        """
        return self._feed.subscribe(buffer)

    def _accept(self, model: FrameModel) -> None:
        self._monitors.introduce(model)
        self._hooks.introduce(model)

    async def _shut_down(self) -> None:
        model = self.model
        await self._streams.abort(InferQueueClosed(f"deployment {self.name} closed while a stream was being read"))
        model.fail_waiting()
        with anyio.move_on_after(self.drain_timeout):
            await self.drained()
            await self._hooks.delivered()
        async with anyio.create_task_group() as closing:
            hooks_closed = anyio.Event()
            closing.start_soon(self._close_hooks, hooks_closed)
            with anyio.move_on_after(CANCEL_SECONDS):
                await hooks_closed.wait()
            await model.aclose()

    async def _close_hooks(self, closed: anyio.Event) -> None:
        await self._hooks.aclose()
        closed.set()

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
