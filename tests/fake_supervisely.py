"""A Supervisely platform that is none: the calls that make a project and upload to it, over real sockets on loopback.

It is written from the calls that Supervisely's SDK makes, and from what it reads in their answers. Classes and tags get an id when
the meta is updated; annotations must name the ids that came back. Anything else than these calls is refused.
"""

import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, web
from on_loopback import on_loopback

TOKEN = "sly-t0ken" * 4
SESSION_TOKEN = "s3ss10n"


@dataclass
class Platform:
    """What `serving` gives.

    Attributes:
        url: where it is.
        asked: methods, in the order in which they were asked.
        sessions: addresses of served models, by the ids of their tasks.
        refuse: called before each request, may return another answer.
        updates_tell_the_meta: whether the answer to an update of a meta holds the meta, as on newer platforms.
    """

    url: str = ""
    asked: list[str] = field(default_factory=list)
    sessions: dict[int, str] = field(default_factory=dict)
    refuse: Callable[[str], web.Response | None] = lambda _: None
    updates_tell_the_meta: bool = True
    projects: dict[int, dict[str, Any]] = field(default_factory=dict)
    metas: dict[int, dict[str, Any]] = field(default_factory=dict)
    datasets: dict[int, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    images: dict[int, dict[str, Any]] = field(default_factory=dict)
    annotations: dict[int, dict[str, Any]] = field(default_factory=dict)
    last_id: int = 100

    def new_id(self) -> int:
        self.last_id += 1
        return self.last_id


class Refused(Exception):
    def __init__(self, status: int, message: str, kind: str = "") -> None:
        self.answer = web.json_response(
            {"error": message, "details": {"type": kind, "message": message}}, status=status
        )


def page(entities: list[dict[str, Any]]) -> dict[str, Any]:
    return {"total": len(entities), "perPage": 20000, "pagesCount": 1, "entities": entities}


def act(platform: Platform, method: str, body: Any) -> Any:
    match method:
        case "instance.version":
            return {"version": "6.15.0"}
        case "projects.settings.update":
            return {"success": True}
        case "datasets.info":
            return platform.datasets[body["id"]]
        case "images.info":
            return platform.images[body["id"]]
        case "tasks.info":
            if body["id"] not in platform.sessions:
                raise Refused(404, "Task not found")
            return {"id": body["id"], "meta": {"sessionToken": SESSION_TOKEN} if platform.sessions[body["id"]] else {}}
        case "projects.list":
            return page(named(platform.projects, body, "workspaceId"))
        case "projects.add":
            assert body["type"] == "images"
            project = {
                "id": platform.new_id(),
                "name": body["name"],
                "workspaceId": body["workspaceId"],
                "type": "images",
            }
            platform.projects[project["id"]] = project
            platform.metas[project["id"]] = {"classes": [], "tags": [], "projectType": "images"}
            return project
        case "projects.meta":
            return platform.metas[body["id"]]
        case "projects.meta.update":
            meta = body["meta"]
            for item in [*meta["classes"], *meta["tags"]]:
                assert item["color"].startswith("#")
                assert len(item["color"]) == 7
                item.setdefault("id", platform.new_id())
            platform.metas[body["id"]] = meta
            return meta if platform.updates_tell_the_meta else {"success": True}
        case "datasets.add":
            if named(platform.datasets, {**body, "filter": [{"value": body["name"]}]}, "projectId"):
                raise Refused(400, "Dataset with this name already exists", "NONUNIQUE")
            dataset = {"id": platform.new_id(), "name": body["name"], "projectId": body["projectId"]}
            platform.datasets[dataset["id"]] = dataset
            return dataset
        case "datasets.list":
            return page(named(platform.datasets, body, "projectId"))
        case "images.internal.hashes.list":
            return [each for each in body if each in platform.files]
        case "images.bulk.add":
            assert body["datasetId"] in platform.datasets
            there = {each["name"] for each in platform.images.values() if each["datasetId"] == body["datasetId"]}
            made = []
            for image in body["images"]:
                assert image["hash"] in platform.files
                if image["title"] in there:
                    raise Refused(400, f"Image {image['title']} already exists", "NONUNIQUE")
                made.append(
                    {
                        "id": platform.new_id(),
                        "name": image["title"],
                        "hash": image["hash"],
                        "datasetId": body["datasetId"],
                    }
                )
            platform.images |= {image["id"]: image for image in made}
            return made
        case "annotations.bulk.add":
            for each in body["annotations"]:
                meta = platform.metas[platform.datasets[body["datasetId"]]["projectId"]]
                ids = {item["title"]: item["id"] for item in meta["classes"]}
                tags = {item["name"] for item in meta["tags"]}
                for item in each["annotation"]["objects"]:
                    assert item["classId"] == ids[item["classTitle"]]
                    assert {tag["name"] for tag in item["tags"]} <= tags
                assert {tag["name"] for tag in each["annotation"]["tags"]} <= tags
                platform.annotations[each["imageId"]] = each["annotation"]
            return {"success": True}
    raise Refused(404, f"no such method: {method}")


def named(entities: dict[int, dict[str, Any]], body: dict[str, Any], parent: str) -> list[dict[str, Any]]:
    [wanted] = body["filter"]
    return [each for each in entities.values() if each[parent] == body[parent] and each["name"] == wanted["value"]]


async def receive(platform: Platform, request: web.Request) -> list[dict[str, Any]]:
    answers = []
    async for part in await request.multipart():
        assert part.name == f"{len(answers)}-file"  # type: ignore[union-attr]
        content = bytes(await part.read())  # type: ignore[union-attr]
        if not content.startswith((b"\x89PNG", b"\xff\xd8")):
            answers.append({"errors": [{"type": "FILE_TYPE"}]})
            continue
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        platform.files[digest] = content
        answers.append({"hash": digest})
    return answers


@asynccontextmanager
async def serving() -> AsyncIterator[Platform]:
    platform = Platform()

    async def answer(request: web.Request) -> web.Response:
        method = request.match_info["method"]
        platform.asked.append(method)
        if request.headers.get("x-api-key") != TOKEN:
            return web.json_response({"error": "Unauthorized"}, status=401)
        refused = platform.refuse(method)
        if refused is not None:
            return refused
        try:
            if method == "images.bulk.upload":
                return web.json_response(await receive(platform, request))
            return web.json_response(act(platform, method, await request.json()))
        except Refused as error:
            return error.answer

    async def pass_on(request: web.Request) -> web.Response:
        """Pass a request on to the served model, as the platform does."""
        assert request.match_info["token"] == SESSION_TOKEN
        [url] = filter(None, platform.sessions.values())
        kept = {name: request.headers[name] for name in ("Content-Type",) if name in request.headers}
        async with ClientSession() as client:
            data = await request.read()
            async with client.post(f"{url}/{request.match_info['method']}", data=data, headers=kept) as found:
                return web.Response(body=await found.read(), status=found.status, content_type=found.content_type)

    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/public/api/v3/{method}", answer)
    app.router.add_post("/net/{token}/{method}", pass_on)
    async with on_loopback(app) as platform.url:
        yield platform
