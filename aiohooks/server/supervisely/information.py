"""What clients ask about a deployment."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from aiohooks.prediction.supervisely.meta import model_meta
from aiohooks.server.answers import json_answer
from aiohooks.server.refusal import Refusal
from aiohooks.server.serving import Served
from aiohooks.server.supervisely.context import Context, Method
from aiohooks.server.supervisely.description import deploy_info, session_info
from aiohooks.server.supervisely.settings import default_settings

_NO_PROJECTS = "this server has no projects of the platform; ask with the ids of its own pictures"

_REFUSED = {
    "inference_project_id_async": _NO_PROJECTS,
    "run_speedtest": _NO_PROJECTS,
    "tracking_by_detection": "this server does not track objects",
    "deploy_from_api": "this server serves the models that it was started with; start another one for this model",
}
"""What only an app on the platform can do, and what a client is told instead."""

_ONE = {"current": 0, "total": 1}
_NO_MEMORY = {"allocated": None, "total": None}


def methods(context: Context) -> Mapping[str, Method]:
    """Return the answers by their names."""

    def info(served: Served) -> dict[str, Any]:
        return session_info(served.name, served.deployment.describe(), max_batch_size=context.serving.limits.frames)

    def meta(served: Served) -> dict[str, Any]:
        return model_meta(served.deployment.labels, served.deployment.describe().task)

    def status(_: Served) -> dict[str, Any]:
        progress = {"message": "Ready", "status": "Ready", **_ONE}
        is_ready = context.serving.is_ready
        return {"is_deployed": is_ready, "progress": progress, "gpu_memory": _NO_MEMORY, "ram_memory": _NO_MEMORY}

    answers: Mapping[str, Callable[[Served], Any]] = {
        "get_session_info": info,
        "get_output_classes_and_tags": meta,
        "get_model_meta": meta,
        "get_custom_inference_settings": lambda served: {"settings": default_settings(served.deployment.describe())},
        "get_tracking_settings": lambda _: {"botsort": {}},
        "get_deploy_info": lambda served: deploy_info(served.deployment.describe()),
        "is_ready": lambda _: {"status": "ready" if context.serving.is_ready else "not ready"},
        "is_deployed": lambda _: {"deployed": context.serving.is_ready},
        "get_status": status,
        "list_pretrained_models": lambda _: [],
        "list_pretrained_model_infos": lambda _: [],
        "get_deploy_settings": lambda _: [],
        "freeze_model": lambda _: {"message": "The model is not frozen: this server keeps its models ready."},
    }

    def method(answer: Callable[[Served], Any]) -> Method:
        async def asked(request: web.Request, served: Served) -> web.Response:
            await context.state(request)  # it is checked as everywhere, and read before it is answered
            return json_answer(answer(served))

        return asked

    def refused(why: str) -> Method:
        async def asked(request: web.Request, _: Served) -> web.Response:
            await context.state(request)
            raise Refusal(400, why)

        return asked

    return {
        **{name: method(answer) for name, answer in answers.items()},
        **{name: refused(why) for name, why in _REFUSED.items()},
    }
