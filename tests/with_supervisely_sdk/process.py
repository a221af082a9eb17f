"""The real Supervisely SDK does what a job names, and says what came of it. It runs in an environment of its own.

A line of JSON on standard input is a job: ``{"url": …, "do": …, …}``; the answer is the last line of standard output.
"""

import json
import sys
import time
from typing import Any
from unittest import mock

import supervisely as sly
from supervisely.nn.inference import Session, SessionJSON
from supervisely.nn.model.model_api import ModelAPI
from tqdm import tqdm


class Api:
    """What a session by URL asks of ``sly.Api``: nothing that needs a platform."""

    token = "x" * 32
    retry_count = 1
    server_address = ""


def objects(annotation: sly.Annotation) -> list[Any]:
    return [
        [label.obj_class.name, label.geometry.to_json().get("points"), round(label.tags.get("confidence").value, 4)]
        for label in annotation.labels
    ]


def about(session: Session, _: dict[str, Any]) -> Any:
    meta = session.get_model_meta()
    return {
        "info": session.get_session_info(),
        "readable": session.get_human_readable_info(),
        "classes": [[each.name, each.geometry_type.geometry_name()] for each in meta.obj_classes],
        "tags": [[each.name, each.value_type] for each in meta.tag_metas],
        "settings": session.get_default_inference_settings(),
        "deploy": session.get_deploy_info().runtime,
    }


def settings(session: Session, job: dict[str, Any]) -> Any:
    found = [len(session.inference_image_path(job["path"]).labels)]
    session.update_inference_settings(conf=0.95)
    found.append(len(session.inference_image_path(job["path"]).labels))
    session.set_inference_settings({"conf": 0.25, "classes": ["red"]})
    found.append(len(session.inference_image_path(job["path"]).labels))
    session.set_inference_settings(job["yaml"])
    found.append(len(session.inference_image_path(job["path"]).labels))
    return [*found, session.inference_settings]


def pictures(session: Session, job: dict[str, Any]) -> Any:
    found = [session.inference_image_path(job["path"]), *session.inference_image_paths([job["path"], job["path"]])]
    found += [session.inference_image_url(job["image_url"]), session.inference_image_id(job["id"])]
    found += session.inference_image_ids([job["id"], job["id"]])
    found += [
        sly.Annotation.from_json(info.annotation, session.get_model_meta())
        for info in session.inference_image_ids_async([job["id"]] * 3)
    ]
    return [objects(each) for each in found]


def video(session: SessionJSON, job: dict[str, Any]) -> Any:
    found = []
    for frames in job["ranges"]:
        at_once = session.inference_video_id(job["id"], **frames)
        stream = session.inference_video_id_async(job["id"], **frames)
        length = len(stream)
        found.append(
            [length, [each["frame_index"] for each in at_once["ann"]], [each["frame_index"] for each in stream]]
        )
    return found


def annotated_video(session: Session, job: dict[str, Any]) -> Any:
    return [objects(each) for each in session.inference_video_id_async(job["id"], frames_count=2)]


def stop(session: SessionJSON, job: dict[str, Any]) -> Any:
    stream = session.inference_video_id_async(job["id"])
    first = next(stream)["frame_index"]
    session.stop_async_inference()
    return [first, [each["frame_index"] for each in stream]]


def failing_video(session: SessionJSON, job: dict[str, Any]) -> Any:
    began, found = time.monotonic(), []
    try:
        for each in session.inference_video_id_async(job["id"]):
            found.append(each["frame_index"])
    except RuntimeError as error:
        return [found, str(error), time.monotonic() - began]
    return [found, None, 0]


def mistakes(session: Session, job: dict[str, Any]) -> Any:
    said = []
    for call in (
        lambda: session.inference_image_path(job["yaml"]),
        lambda: session.inference_image_id(5),
        lambda: session.inference_video_id_async(job["id"], start_frame_index=10_000),
        lambda: session.set_inference_settings({"iou": 1}),
    ):
        try:
            call()
            said.append("nothing")
        except Exception as error:
            said.append(str(error))
    return said


def model_api(_: None, job: dict[str, Any]) -> Any:
    model = ModelAPI(url=job["url"])
    folder = model.predict(input=job["folder"], conf=0.25, show_progress=False)
    several = model.predict(input=[job["path"], job["path"]], show_progress=False) if job.get("list") else []
    found: dict[str, Any] = {
        "info": sorted(model.get_info()),
        "settings": model.get_settings(),
        "tracking": model.get_tracking_settings(),
        "ready": model.is_deployed(),
        "deployed": model.status()["is_deployed"],
        "classes": model.get_classes(),
        "folder": [[each.classes, each.boxes.tolist(), [round(score, 4) for score in each.scores]] for each in folder],
        "several": len(several),
        "ids": [each.image_id for each in model.predict(image_id=[job["id"], job["id"]], show_progress=False)],
        "filtered": [
            each.classes for each in model.predict(input=job["folder"], classes=["green"], show_progress=False)
        ],
        "videos": [],
    }
    for frames in job["ranges"]:
        with model.predict_detached(input=job["video"], **frames) as session:
            found["videos"].append([len(session), [each.frame_index for each in session]])
    with model.predict_detached(video_id=job["video_id"], start_frame=2, end_frame=6) as session:
        found["by_id"] = [len(session), [each.frame_index for each in session], session.is_done(), session.progress()]
    return found


def rest(_: None, job: dict[str, Any]) -> Any:
    """What else there is: settings from the start, what a prediction shows, one item, a bar, and what only an app can do."""
    url, path = job["url"], job["path"]
    with_settings = Session(Api(), session_url=url, inference_settings={"conf": 0.25, "classes": ["green"]})
    session, model = SessionJSON(Api(), session_url=url), ModelAPI(url=url)
    bars: list[list[Any]] = []

    def bar(message: str, total: int) -> Any:
        bars.append([message, total])
        return tqdm(total=total)

    with mock.patch("time.sleep") as sleep:
        one = list(session.inference_video_id_async(job["video_id"], frames_count=1, preparing_cb=bar))
    prediction = model.predict(input=path, img_size=64, upload_mode="append")[0]
    with model.predict_detached(video_id=job["video_id"], show_progress=True) as stopped:
        first = [next(stopped).frame_index, stopped.next().frame_index, stopped.status()["stage"]]
        total = stopped.tqdm.total
    failed = {}
    for name, call in {
        "speedtest": lambda: session.run_speedtest(1, 2),
        "project": lambda: session.inference_project_id(1),
        "upload": lambda: session.inference_image_id(job["id"], upload=True),
        "upload_mode": lambda: model.predict(image_id=job["id"], upload_mode="create"),
        "output_project": lambda: session.inference_image_ids_async([job["id"]], output_project_id=1),
        "tracker": lambda: session.inference_video_id(job["video_id"], tracker="botsort"),
        "tracking": lambda: model.predict(video_id=job["video_id"], tracking=True),
        "class": lambda: model.predict(image_id=job["id"], classes=["zebra"]),
        "conf": lambda: model.predict(image_id=job["id"], conf=3.0),
        "load": lambda: model.load("yolo"),
    }.items():
        try:
            call()
        except Exception as error:
            failed[name] = str(error)
    return {
        "with_settings": len(with_settings.inference_image_path(path).labels),
        "one": [len(one), sleep.call_count, bars],
        "shown": [
            prediction.visualize().shape,
            prediction.load_image().shape,
            prediction.class_idxs.tolist(),
            prediction.path,
        ],
        "stopped": [*first, total],
        "pretrained": [model.list_pretrained_models(), model.list_pretrained_model_infos()],
        "frozen": model.freeze_model()["message"],
        "failed": failed,
    }


def geometries(session: Session, job: dict[str, Any]) -> Any:
    annotation = session.inference_image_path(job["path"])
    labels = [[each.obj_class.name, each.geometry.geometry_name(), each.geometry.area] for each in annotation.labels]
    return {"labels": labels, "tags": [[tag.name, tag.value] for tag in annotation.img_tags]}


def by_task(_: None, job: dict[str, Any]) -> Any:
    """The session of a task on the platform."""
    api = sly.Api(server_address=job["platform"], token=job["token"], ignore_task_id=True)
    session = Session(api, task_id=job["task"])
    return [session.get_session_info()["app_name"], objects(session.inference_image_path(job["path"]))]


def upload(_: None, job: dict[str, Any]) -> Any:
    """A picture with its annotation into a project, as the SDK does it."""
    api = sly.Api(server_address=job["platform"], token=job["token"], ignore_task_id=True)
    project = api.project.create(7, "by the sdk")
    dataset = api.dataset.create(project.id, "dataset")
    meta = api.project.update_meta(project.id, sly.ProjectMeta.from_json(job["meta"]))
    image = api.image.upload_path(dataset.id, "a.png", job["path"])
    api.annotation.upload_ann(image.id, sly.Annotation.from_json(job["annotation"], meta))
    return image.id


def main() -> None:
    job = json.loads(sys.stdin.readline())
    name = job["do"]
    session: Any = None
    if name not in ("model_api", "by_task", "upload", "rest"):
        kind = SessionJSON if name in ("video", "stop", "failing_video") else Session
        session = kind(Api(), session_url=job["url"])
    answer = globals()[name](session, job)
    print()
    print(json.dumps(answer, default=str))


if __name__ == "__main__":
    main()
