"""A serving app of Supervisely that is none: its inference protocol, over real sockets on loopback.

It answers in the shapes, and with the habits, of the protocol as it is documented: settings as YAML text; a total of 1 while a job is
not inferring, also after its end; results that are gone once they were asked for; an error beside results; no answer is held back until there
is something to say. Its model finds what is bright in each colour of a picture, as `tiny_models.detector` does.
"""

import json
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import cv2
import numpy as np
from aiohttp import web
from on_loopback import on_loopback
from tiny_blocks import RGB

SETTINGS = "# of the model\nconf: 0.5  # lowest score\niou_thres: 0.45\naugment: false\n"
ERROR_FRAME = "error_frame"


@dataclass
class Job:
    frames: list[tuple[int, Any]]
    total: int
    conf: float
    stage: str = "Preparing model for inference..."
    done: int = 0
    pending: list[dict[str, Any]] = field(default_factory=list)
    exception: dict[str, str] | None = None
    stopped: bool = False
    finished: bool = False


@dataclass
class Stub:
    """What `serving` gives.

    Attributes:
        url: where it is.
        media: files by their ids.
        asked: methods, in the order in which they were asked.
        states: what was said with them.
        uploads: number and length of the files of each form.
        refuse: called before each request, may return another answer.
        may_infer: set; waited for before each frame of a job.
        failing_frame: the model fails on this frame of a video.
    """

    url: str = ""
    media: dict[int, Path] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    uploads: list[list[int]] = field(default_factory=list)
    refuse: Callable[[str], web.Response | None] = lambda _: None
    headers: list[Mapping[str, str]] = field(default_factory=list)
    api_tokens: list[str | None] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    may_infer: anyio.Event = field(default_factory=anyio.Event)
    failing_frame: int | None = None
    hides_finished: bool = False


def infer(image: Any, conf: float = 0.5) -> dict[str, Any]:
    objects = []
    for channel, name in enumerate(RGB):
        ys, xs = np.nonzero(image[..., channel] > 127)
        score = float(image[..., channel].max()) / 255
        if len(xs) and score >= conf:
            corners = [[int(xs.min()), int(ys.min())], [int(xs.max()), int(ys.max())]]
            objects.append({"classTitle": name, "description": "", "tags": [{"name": "confidence", "value": score}],
                            "geometryType": "rectangle", "shape": "rectangle",
                            "points": {"exterior": corners, "interior": []}})  # fmt: skip
    height, width = image.shape[:2]
    annotation = {"description": "", "size": {"height": height, "width": width}, "tags": [], "objects": objects,
                  "customBigData": {}}  # fmt: skip
    return {"annotation": annotation, "data": {}}


def decode(content: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)


def frames_of(path: Path, state: Mapping[str, Any]) -> list[tuple[int, Any]]:
    capture, images = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        images.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    start, stride = state.get("startFrameIndex") or 0, state.get("stride") or 1
    count = state.get("framesCount") or len(images) - start
    step = stride if state.get("direction", "forward") == "forward" else -stride
    wanted = range(start, start + (count if step > 0 else -count), step)
    return [(number, images[number]) for number in wanted if 0 <= number < len(images)]


@asynccontextmanager
async def serving() -> AsyncIterator[Stub]:
    stub = Stub()
    stub.may_infer.set()
    async with anyio.create_task_group() as tasks:

        async def answer(request: web.Request) -> web.Response:
            method = request.match_info["method"]
            stub.asked.append(method)
            stub.headers.append(request.headers)
            refused = stub.refuse(method)
            files, state = await read(request)
            stub.states.append(state)
            if refused is not None:
                return refused
            return web.json_response(await act(method, state, files))

        async def read(request: web.Request) -> tuple[list[bytes], dict[str, Any]]:
            if request.content_type == "application/json":
                body = await request.json()
                assert set(body) <= {"state", "context", "api_token"}
                stub.api_tokens.append(body.get("api_token"))
                return [], body["state"]
            form = await request.post()
            files = [each.file.read() for each in form.getall("files")]  # type: ignore[union-attr]
            stub.uploads.append([len(each) for each in files])
            assert set(form) <= {"files", "state", "settings"}
            return files, json.loads(form.get("state") or form.get("settings"))  # type: ignore[arg-type]

        async def act(method: str, state: dict[str, Any], files: list[bytes]) -> Any:
            conf = state.get("settings", {}).get("conf", 0.5)
            job = stub.jobs.get(state.get("inference_request_uuid", ""))
            match method:
                case "get_session_info":
                    return {"app_name": "Serve Tiny", "session_id": 7, "number_of_classes": 3, "max_batch_size": None,
                            "task type": "object detection", "videos_support": True}  # fmt: skip
                case "get_output_classes_and_tags" | "get_model_meta":
                    classes = [{"title": name, "shape": "rectangle", "color": "#00FF00"} for name in RGB]
                    return {
                        "classes": classes,
                        "tags": [{"name": "confidence", "value_type": "any_number", "color": "#A"}],
                    }
                case "get_custom_inference_settings":
                    return {"settings": SETTINGS}
                case "get_deploy_info":
                    return {"model_name": "tiny", "runtime": "PyTorch"}
                case "inference_image":
                    return infer(decode(files[0]), conf)
                case "inference_batch":
                    return [infer(decode(each), conf) for each in files]
                case "inference_image_url":
                    return infer(decode(stub.media[1].read_bytes()), conf)
                case "inference_image_id":
                    return infer(decode(stub.media[state["image_id"]].read_bytes()), conf)
                case "inference_batch_ids":
                    return [infer(decode(stub.media[each].read_bytes()), conf) for each in state["batch_ids"]]
                case "inference_video_id_async":
                    return start(frames_of(stub.media[state["videoId"]], state), conf)
                case "inference_video_async":
                    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
                        file.write(files[0])
                        file.flush()
                        return start(frames_of(Path(file.name), state), conf)
                case "get_inference_progress" if job:
                    # The real total is known while it infers only.
                    total = job.total if job.stage == "Running inference..." else 1
                    return status(job) | {"progress": {"current": job.done, "total": total}}
                case "pop_inference_results" if job:
                    pending, job.pending = job.pending, []
                    return status(job) | {"pending_results": pending}
                case "stop_inference" if job:
                    job.stopped = True
                    return {"message": "Inference will be stopped.", "success": True}
                case "clear_inference_request" if job:
                    return {"success": True}
            raise web.HTTPBadRequest(text=json.dumps({"message": f"Error: {method}"}), content_type="application/json")

        def start(frames: list[tuple[int, Any]], conf: float) -> dict[str, str]:
            identity = uuid.uuid4().hex
            stub.jobs[identity] = job = Job(frames, len(frames), conf)
            tasks.start_soon(work, job)
            return {"message": "Inference has started.", "inference_request_uuid": identity}

        async def work(job: Job) -> None:
            job.stage = "Running inference..."
            for number, image in job.frames:
                await stub.may_infer.wait()
                if job.stopped:
                    break
                if number == stub.failing_frame:
                    job.exception = {"type": "RuntimeError", "message": "CUDA is gone", "traceback": "…"}
                    break
                job.pending.append({**infer(image, job.conf), "frame_index": number})
                job.done += 1
            job.stage = "Error" if job.exception else "Cancelled" if job.stopped else "Finished"
            job.finished = True

        def status(job: Job) -> dict[str, Any]:
            known = {
                "stage": job.stage, "pending_results": len(job.pending), "is_inferring": job.stage == "Running inference...",
                "progress": {"current": job.done, "total": job.total, "status": job.stage, "is_size": False},
                "finished": job.finished, "stopped": job.stopped, "exception": job.exception,
            }  # fmt: skip
            return {key: value for key, value in known.items() if not (key == "finished" and stub.hides_finished)}

        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/{method}", answer)
        app.router.add_post("/net/{token}/{method}", answer)
        async with on_loopback(app) as stub.url:
            yield stub
        tasks.cancel_scope.cancel()
