"""A Geti server that is none: what is documented of Geti's REST interface, over real sockets on loopback.

It is written from the calls that geti-sdk 2.13 makes and from what it reads in their answers. Every call, query, field or header
that is not among them is refused and kept in ``violations``; `serving` fails if there are any in the end. It can be slow, fail,
throttle, and reset or drop connections: see `Trouble`.
"""

import io
import json
import re
import socket
import ssl
import struct
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, NamedTuple

import anyio
from aiohttp import web

TOKEN = "geti_pat_s3cr3t-Tok3n"
ORGANIZATION, WORKSPACE = "org1", "ws1"
LABELS = {
    "cat": "label-cat",
    "dog": "label-dog",
    "No object": "label-none",
    "red": "label-r",
    "green": "label-g",
    "blue": "label-b",
}

_HEADERS = {
    "host",
    "x-api-key",
    "accept",
    "accept-encoding",
    "user-agent",
    "content-type",
    "content-length",
    "connection",
}
_MAGIC = {
    ".png": b"\x89PNG",
    ".jpg": b"\xff\xd8\xff",
    ".jpeg": b"\xff\xd8\xff",
    ".bmp": b"BM",
    ".tif": b"II",
    ".tiff": b"II",
}
_SHAPES = {
    "RECTANGLE": {"x", "y", "width", "height"}, "ELLIPSE": {"x", "y", "width", "height"}, "POLYGON": {"points"},
    "ROTATED_RECTANGLE": {"angle", "x", "y", "width", "height"}, "KEYPOINT": {"x", "y", "is_visible"},
}  # fmt: skip
_RULE = {"condition": "and", "rules": [{"field": "MEDIA_TYPE", "operator": "EQUAL", "value": "image"}]}


class Trouble(NamedTuple):
    """What goes wrong with a request.

    Attributes:
        kind: ``status`` answers an error, ``reset`` and ``drop`` end the connection, ``wait`` never answers.
        status: of the error.
        headers: of the error.
        body: of the error; JSON as Geti writes it if not given.
        content_type: of the body.
        afterwards: the request is acted on first.
    """

    kind: str
    status: int = 503
    headers: Mapping[str, str] = MappingProxyType({})
    body: str | None = None
    content_type: str = "application/json"
    afterwards: bool = False


class FakeGeti:
    def __init__(self) -> None:
        self.url = ""
        self.token = TOKEN
        self.product_info: Any = {"product-version": "2.13.0", "build-version": "2.13.0.1", "something-new": 1}
        self.organization: Any = {"organizationId": ORGANIZATION}
        self.workspaces: Any = {"workspaces": [{"id": WORKSPACE, "name": "Default Workspace", "creator_id": "x"}]}
        self.projects: list[dict[str, Any]] = []
        self.datasets: dict[str, list[dict[str, Any]]] = {}
        self.pictures: dict[str, list[dict[str, Any]]] = {}
        self.contents: dict[str, bytes] = {}
        self.annotations: dict[str, Any] = {}
        self.model_groups: dict[str, list[dict[str, Any]]] = {}
        self.packages: dict[str, bytes] = {}
        self.trouble: Callable[[web.Request], Trouble | None] = lambda _request: None
        self.violations: list[str] = []
        self.seen: list[str] = []
        self.acted = Counter[str]()
        self.connections: set[object] = set()
        self.most_open = 0
        self.page_size = 100
        self.arrived = anyio.Event()
        self.release = anyio.Event()
        self._ids = 0

    def add_project(
        self,
        name: str,
        *,
        tasks: tuple[str, ...] = ("detection",),
        labels: tuple[str, ...] = ("cat", "dog", "No object"),
    ) -> str:
        project = self._new_id("project")
        nodes = [{"id": f"{project}-data", "title": "Dataset", "task_type": "dataset"}]
        for i, task in enumerate(tasks):
            if i:
                nodes.append({"id": f"{project}-crop{i}", "title": "Crop", "task_type": "crop"})
            nodes.append(
                {
                    "id": f"{project}-task{i}", "title": f"{task.title()} task", "task_type": task, "label_schema_id": "s",
                    "labels": [
                        {
                            "id": LABELS[label], "name": label, "color": "#00ff00ff", "group": "all", "parent_id": None,
                            "is_empty": label == "No object", "is_anomalous": False, "hotkey": "",
                        }
                        for label in labels
                    ],
                }
            )  # fmt: skip
        self.projects.append(
            {
                "id": project, "name": name, "creation_time": "2025-01-01T00:00:00+00:00", "creator_id": "me", "score": None,
                "thumbnail": f"/api/v1/…/{project}/thumbnail", "storage_info": {"size": 0},
                "pipeline": {
                    "tasks": nodes,
                    "connections": [{"from": a["id"], "to": b["id"]} for a, b in pairwise(nodes)],
                },
            }
        )  # fmt: skip
        self.datasets[project] = []
        self.model_groups[project] = []
        self.add_dataset(project, "Dataset", use_for_training=True)
        return project

    def add_dataset(self, project: str, name: str, *, use_for_training: bool = False) -> str:
        dataset = self._new_id("dataset")
        self.datasets[project].append(
            {"id": dataset, "name": name, "use_for_training": use_for_training, "creation_time": "2025-01-01T00:00:00Z"}
        )
        self.pictures[dataset] = []
        return dataset

    def add_picture(self, project: str, dataset: str, name: str, content: bytes) -> dict[str, Any]:
        picture = self._new_id("image")
        base = f"{self._base()}/projects/{project}/datasets/{dataset}/media/images/{picture}"
        self.contents[picture] = content
        self.pictures[dataset].append(
            {
                "id": picture, "name": name, "type": "image", "upload_time": "2025-01-01T00:00:00Z", "uploader_id": "me",
                "media_information": {"display_url": f"{base}/display/full", "height": 48, "width": 64, "size": len(content)},
                "thumbnail": f"{base}/display/thumb", "annotation_state_per_task": [],
            }
        )  # fmt: skip
        return self.pictures[dataset][-1]

    def fill(self, project: str, datasets: Mapping[str, list[tuple[bytes, str]]]) -> list[dict[str, Any]]:
        """Put pictures with a label each into datasets of a project that classifies; all that is not there is made."""
        found = [one["id"] for one in self.projects if one["name"] == project]
        labels = tuple(dict.fromkeys(label for pictures in datasets.values() for _, label in pictures))
        place = found[0] if found else self.add_project(project, tasks=("classification",), labels=labels)
        added = []
        for name, pictures in datasets.items():
            ids = [one["id"] for one in self.datasets[place] if one["name"] == name]
            dataset = ids[0] if ids else self.add_dataset(place, name)
            for i, (content, label) in enumerate(pictures):
                added.append(self.add_picture(place, dataset, f"picture {i}", content))
                self.label(added[-1], label)
        return added

    def label(self, picture: dict[str, Any], *labels: str) -> None:
        """Annotate a picture as a whole."""
        whole = {"type": "RECTANGLE", "x": 0, "y": 0, "width": 64, "height": 48}
        self.annotations[picture["id"]] = [{"labels": [{"id": LABELS[name]} for name in labels], "shape": whole}]

    def add_model(
        self, project: str, task: int = 0, *, active: bool = True, created: str = "2025-02-01T00:00:00Z",
        optimized: tuple[tuple[str, str, bool], ...] = (("MO", "FP16", False), ("MO", "FP16", True)),
    ) -> str:  # fmt: skip
        model, group = self._new_id("model"), self._new_id("group")
        forms = [
            {
                "id": f"{model}-{i}", "name": f"Net OpenVINO {precision}", "optimization_type": kind, "precision": [precision],
                "has_xai_head": xai, "model_status": "SUCCESS", "creation_date": created, "model_group_id": group,
            }
            for i, (kind, precision, xai) in enumerate(optimized)
        ]  # fmt: skip
        summary = {
            "id": model, "name": "Net", "creation_date": created, "active_model": active, "performance": {"score": 0.9},
            "purge_info": {"is_purged": False}, "version": 1,
        }  # fmt: skip
        self.model_groups[project].append(
            {
                "id": group, "name": "Net", "task_id": f"{project}-task{task}", "model_template_id": "net",
                "models": [summary], "details": {**summary, "architecture": "Net", "optimized_models": forms},
            }
        )  # fmt: skip
        return model

    def _new_id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}{self._ids}"

    def _base(self) -> str:
        return f"/api/v1/organizations/{ORGANIZATION}/workspaces/{WORKSPACE}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path_qs}")
        self.connections.add(request.transport)
        self.arrived.set()
        body = await request.read()
        trouble = self.trouble(request)
        if trouble is not None and not trouble.afterwards:
            return await self._fail(request, trouble)
        answer = await self._act(request, body)
        if trouble is not None:
            return await self._fail(request, trouble)
        return answer

    async def _fail(self, request: web.Request, trouble: Trouble) -> web.StreamResponse:
        assert request.transport is not None
        match trouble.kind:
            case "status":
                text = trouble.body
                if text is None:
                    text = json.dumps(
                        {"message": f"trouble {trouble.status}", "error_code": "trouble", "http_status": 0}
                    )
                return web.Response(
                    status=trouble.status, headers=trouble.headers, text=text, content_type=trouble.content_type
                )
            case "reset":
                connection = request.transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                request.transport.abort()
            case "drop":
                request.transport.close()
            case "wait":
                await self.release.wait()
        return web.Response()

    async def _act(self, request: web.Request, body: bytes) -> web.StreamResponse:
        try:
            if request.headers.get("x-api-key") != self.token:
                return web.json_response({"message": "invalid token", "error_code": "unauthorized"}, status=401)
            self._check_headers(request)
            for pattern, handler in _ROUTES:
                method, path = pattern.split(" ")
                found = re.fullmatch(self._base() + path if path.startswith("/projects") else path, request.path)
                if method == request.method and found:
                    answer = handler(self, request, body, *found.groups())
                    self.acted[pattern] += 1
                    return answer
            raise _Undocumented("call")
        except _Undocumented as violation:
            self.violations.append(f"{request.method} {request.path_qs}: undocumented {violation}")
            return web.json_response({"message": self.violations[-1], "error_code": "undocumented"}, status=400)
        except _Missing as error:
            return web.json_response({"message": f"{error} was not found", "error_code": "not_found"}, status=404)

    def _check_headers(self, request: web.Request) -> None:
        names = [name.lower() for name in request.headers]
        for name in names:
            if name not in _HEADERS and not (name == "x-geti-csrf-protection" and request.method == "POST"):
                raise _Undocumented(f"header {name}")
            if names.count(name) > 1:
                raise _Undocumented(f"second header {name}")
        if request.method == "POST":
            if request.headers.get("x-geti-csrf-protection") != "1":
                raise _Undocumented("POST without x-geti-csrf-protection: 1")
            if "content-length" not in names:
                raise _Undocumented("POST without content-length")

    def _query(self, request: web.Request, *known: str) -> dict[str, int]:
        if set(request.query) - set(known):
            raise _Undocumented(f"query {sorted(request.query)}")
        return {name: int(value) for name, value in request.query.items()}

    def _json(self, request: web.Request, body: bytes) -> Any:
        if request.content_type != "application/json":
            raise _Undocumented(f"content type {request.content_type}")
        return json.loads(body)

    def _project(self, project: str) -> dict[str, Any]:
        for one in self.projects:
            if one["id"] == project:
                return one
        raise _Missing(project)

    def _dataset(self, project: str, dataset: str) -> dict[str, Any]:
        for one in self.datasets[self._project(project)["id"]]:
            if one["id"] == dataset:
                return one
        raise _Missing(dataset)

    def get_product_info(self, request: web.Request, _body: bytes) -> web.Response:
        self._query(request)
        return web.json_response(self.product_info)

    def get_organization(self, request: web.Request, _body: bytes) -> web.Response:
        self._query(request)
        return web.json_response(self.organization)

    def get_workspaces(self, request: web.Request, _body: bytes) -> web.Response:
        self._query(request)
        return web.json_response(self.workspaces)

    def get_projects(self, request: web.Request, _body: bytes) -> web.Response:
        query = self._query(request, "limit", "skip")
        page = self.projects[query["skip"] :][: query["limit"]]
        return web.json_response(
            {"projects": page, "project_counts": len(self.projects), "project_page_count": len(page), "next_page": ""}
        )

    def get_project(self, request: web.Request, _body: bytes, project: str) -> web.Response:
        self._query(request)
        return web.json_response(self._project(project) | {"datasets": self.datasets[project], "performance": {}})

    def get_datasets(self, request: web.Request, _body: bytes, project: str) -> web.Response:
        self._query(request)
        return web.json_response({"datasets": self.datasets[self._project(project)["id"]]})

    def post_dataset(self, request: web.Request, body: bytes, project: str) -> web.Response:
        self._query(request)
        data = self._json(request, body)
        if set(data) != {"name"} or not isinstance(data["name"], str):
            raise _Undocumented(f"field in {data}")
        if any(one["name"] == data["name"] for one in self.datasets[self._project(project)["id"]]):
            return web.json_response({"message": "dataset exists", "error_code": "dataset_exists"}, status=409)
        self.add_dataset(project, data["name"])
        return web.json_response(self.datasets[project][-1])

    def post_picture(self, request: web.Request, body: bytes, project: str, dataset: str) -> web.Response:
        self._query(request)
        self._dataset(project, dataset)
        name, content = _only_file(request, body)
        suffix = PurePath(name).suffix.lower()
        if not content.startswith(_MAGIC.get(suffix, b"?")):
            raise _Undocumented(f"picture {name}")
        return web.json_response(self.add_picture(project, dataset, PurePath(name).stem, content))

    def query_pictures(self, request: web.Request, body: bytes, project: str, dataset: str) -> web.Response:
        query = self._query(request, "limit", "skip")
        if self._json(request, body) != _RULE:
            raise _Undocumented(f"query {body!r}")
        self._dataset(project, dataset)
        every, skip = self.pictures[dataset], query.get("skip", 0)
        size = min(query["limit"], self.page_size)
        answer = {
            "media": every[skip:][:size], "total_images": len(every), "total_matched_images": len(every),
            "total_matched_videos": 0, "total_matched_video_frames": 0, "total_videos": 0,
        }  # fmt: skip
        if skip + size < len(every):
            answer["next_page"] = f"{request.path}?limit={query['limit']}&skip={skip + size}"
        return web.json_response(answer)

    def get_picture(self, request: web.Request, _body: bytes, project: str, dataset: str, picture: str) -> web.Response:
        self._query(request)
        self._dataset(project, dataset)
        if picture not in self.contents:
            raise _Missing(picture)
        return web.Response(body=self.contents[picture], content_type="image/jpeg")

    def post_annotations(
        self, request: web.Request, body: bytes, project: str, dataset: str, picture: str
    ) -> web.Response:
        self._query(request)
        self._dataset(project, dataset)
        if picture not in self.contents:
            raise _Missing(picture)
        data = self._json(request, body)
        if set(data) != {"annotations", "media_identifier"}:
            raise _Undocumented(f"field among {sorted(data)}")
        if data["media_identifier"] != {"type": "image", "image_id": picture} or not data["annotations"]:
            raise _Undocumented("media_identifier or empty annotations")
        for annotation in data["annotations"]:
            _check_annotation(annotation)
        self.annotations[picture] = data["annotations"]
        return web.json_response(data | {"id": "scene", "kind": "annotation"})

    def get_annotations(
        self, request: web.Request, _body: bytes, project: str, dataset: str, picture: str
    ) -> web.Response:
        self._query(request)
        self._dataset(project, dataset)
        if picture not in self.contents:
            raise _Missing(picture)
        if picture not in self.annotations:
            return web.Response(status=204)
        given = [
            {
                "id": "annotation", "shape": one["shape"], "modified": "2025-01-01T00:00:00Z", "labels_to_revisit": [],
                "labels": [{"id": label["id"], "probability": 1.0, "source": {"user_id": "me"}} for label in one["labels"]],
            }
            for one in self.annotations[picture]
        ]  # fmt: skip
        return web.json_response(
            {
                "id": "scene", "kind": "annotation", "annotations": given, "annotation_state_per_task": [],
                "media_identifier": {"type": "image", "image_id": picture}, "modified": "2025-01-01T00:00:00Z",
            }
        )  # fmt: skip

    def get_model_groups(self, request: web.Request, _body: bytes, project: str) -> web.Response:
        self._query(request)
        groups = self.model_groups[self._project(project)["id"]]
        return web.json_response(
            {"model_groups": [{k: v for k, v in group.items() if k != "details"} for group in groups]}
        )

    def get_model(self, request: web.Request, _body: bytes, project: str, group: str, model: str) -> web.Response:
        self._query(request)
        for one in self.model_groups[self._project(project)["id"]]:
            if one["id"] == group and one["details"]["id"] == model:
                return web.json_response(one["details"])
        raise _Missing(model)

    def download_package(self, request: web.Request, body: bytes, project: str) -> web.Response:
        self._query(request)
        self._project(project)
        data = self._json(request, body)
        models = data.get("models", [])
        if set(data) != {"package_type", "models"} or data["package_type"] != "geti_sdk" or not models:
            raise _Undocumented(f"field in {data}")
        known = {
            (form["id"], group["id"])
            for group in self.model_groups[project]
            for form in group["details"]["optimized_models"]
        }
        for model in models:
            if set(model) != {"model_id", "model_group_id"}:
                raise _Undocumented(f"field in {model}")
            if (model["model_id"], model["model_group_id"]) not in known:
                raise _Missing(model["model_id"])
        return web.Response(body=self.packages[project], content_type="application/zip")


class _Undocumented(Exception):
    pass


class _Missing(Exception):
    pass


_ROUTES: list[tuple[str, Any]] = [
    ("GET /api/v1/product_info", FakeGeti.get_product_info),
    ("GET /api/v1/personal_access_tokens/organization", FakeGeti.get_organization),
    (f"GET /api/v1/organizations/{ORGANIZATION}/workspaces", FakeGeti.get_workspaces),
    ("GET /projects", FakeGeti.get_projects),
    ("GET /projects/([^/]+)", FakeGeti.get_project),
    ("GET /projects/([^/]+)/datasets", FakeGeti.get_datasets),
    ("POST /projects/([^/]+)/datasets", FakeGeti.post_dataset),
    ("POST /projects/([^/]+)/datasets/([^/]+)/media/images", FakeGeti.post_picture),
    ("POST /projects/([^/]+)/datasets/([^/]+)/media:query", FakeGeti.query_pictures),
    ("GET /projects/([^/]+)/datasets/([^/]+)/media/images/([^/]+)/display/full", FakeGeti.get_picture),
    ("POST /projects/([^/]+)/datasets/([^/]+)/media/images/([^/]+)/annotations", FakeGeti.post_annotations),
    ("GET /projects/([^/]+)/datasets/([^/]+)/media/images/([^/]+)/annotations/latest", FakeGeti.get_annotations),
    ("GET /projects/([^/]+)/model_groups", FakeGeti.get_model_groups),
    ("GET /projects/([^/]+)/model_groups/([^/]+)/models/([^/]+)", FakeGeti.get_model),
    ("POST /projects/([^/]+)/deployment_package:download", FakeGeti.download_package),
]


def _only_file(request: web.Request, body: bytes) -> tuple[str, bytes]:
    if request.content_type != "multipart/form-data":
        raise _Undocumented(f"content type {request.content_type}")
    parts = list(_parts(body, request.headers["content-type"].partition("boundary=")[2].strip('"').encode()))
    if len(parts) != 1:
        raise _Undocumented(f"{len(parts)} fields")
    head, content = parts[0]
    lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    if {name.lower() for name in lines} - {"content-type", "content-length", "content-disposition"}:
        raise _Undocumented(f"header of a field among {sorted(lines)}")
    found = re.fullmatch('form-data; name="file"; filename="([^"/\\\\]+)"', lines["Content-Disposition"])
    if found is None:
        raise _Undocumented(lines["Content-Disposition"])
    return found[1], content


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    start, *parts, end = body.split(b"--" + boundary)
    assert (start, end.strip()) == (b"", b"--")
    for part in parts:
        head, _, content = part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
        yield head, content


def _check_annotation(annotation: Any) -> None:
    if set(annotation) != {"labels", "shape"} or not annotation["labels"]:
        raise _Undocumented(f"field among {sorted(annotation)}")
    for label in annotation["labels"]:
        if set(label) != {"id", "name", "color", "probability"} or label["id"] not in LABELS.values():
            raise _Undocumented(f"label {label}")
    shape = dict(annotation["shape"])
    kind = shape.pop("type")
    if kind not in _SHAPES or set(shape) != _SHAPES[kind]:
        raise _Undocumented(f"shape {annotation['shape']}")
    if kind == "RECTANGLE":
        x, y, width, height = (shape[key] for key in ("x", "y", "width", "height"))
        if min(x, y) < 0 or min(width, height) < 1 or x + width > 64 or y + height > 48:
            raise _Undocumented(f"place outside of the picture: {shape}")


def zipped(files: dict[str, bytes | str]) -> bytes:
    """Return a zip of files by their names."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            package.writestr(name, content)
    return data.getvalue()


@asynccontextmanager
async def serving(ssl_context: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[FakeGeti]:
    """Serve a fake Geti on loopback; it must have been asked only what is documented."""
    fake = FakeGeti()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    server = runner.server
    assert server is not None
    accept = server.connection_made

    def count(*connection: Any) -> None:
        accept(*connection)
        fake.most_open = max(fake.most_open, len(server.connections))

    server.connection_made = count  # type: ignore[method-assign]
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=ssl_context).start()
        host, port = runner.addresses[0][:2]
        fake.url = f"{'http' if ssl_context is None else 'https'}://{host}:{port}"
        yield fake
    finally:
        fake.release.set()
        await runner.cleanup()
    assert fake.violations == []
