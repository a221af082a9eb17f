"""What clients ask about their jobs."""

from collections.abc import Mapping

from aiohttp import web

from aiohooks.server.answers import encode, json_answer
from aiohooks.server.refusal import Refusal
from aiohooks.server.serving import Served
from aiohooks.server.supervisely.context import Context, Method
from aiohooks.server.supervisely.state import State, shown, whole_number
from aiohooks.server.supervisely.work import JobAtWork

RESULTS_AT_ONCE = 128
"""In one answer."""

BYTES_AT_ONCE = 4 * 1024 * 1024
"""Of them: so many are copied in a millisecond."""

WAIT_SECONDS = 5.0
"""How long a request for results waits for the first, so that it arrives when it is made; clients may ask for less or more."""

LONGEST_WAIT_SECONDS = 30.0

ONE_SECONDS = 1.0
"""How long a question for the progress of a single item waits for it: clients take a total of 1 for none, and ask again after so long."""


def methods(context: Context) -> Mapping[str, Method]:
    """Return the answers by their names."""

    async def progress(request: web.Request, _: Served) -> web.Response:
        at_work = await job_of(request)
        if at_work.job.total == 1:
            await at_work.wait_for_results(None, ONE_SECONDS)
        return json_answer(at_work.job.status())

    async def pop(request: web.Request, _: Served) -> web.Response:
        state = await context.state(request)
        at_work, first = find(state), whole_number(state, "first_result")
        await at_work.wait_for_results(first, _wait_seconds(state))
        taken = at_work.job.take(first, most=RESULTS_AT_ONCE, most_bytes=BYTES_AT_ONCE)
        at_work.tell()  # there is room now
        status = at_work.job.status()
        still_waiting = at_work.job.waits_after(taken.following)
        answer = {
            **status,
            "pending_results": taken.results,
            "next_result": taken.following,
            "is_inferring": status["is_inferring"] or still_waiting,
            "finished": status["finished"] and not still_waiting,
            # A client that hears of an error looks at no result any more.
            "exception": None if taken.results else status["exception"],
        }
        return web.Response(body=encode(answer), content_type="application/json")

    async def preparing_progress(request: web.Request, _: Served) -> web.Response:
        return json_answer((await job_of(request)).job.progress())

    async def result(request: web.Request, _: Served) -> web.Response:
        await job_of(request)
        return json_answer(None)  # all results were handed out one by one

    async def stop(request: web.Request, _: Served) -> web.Response:
        (await job_of(request)).stop()
        return json_answer({"message": "Inference will be stopped.", "success": True})

    async def clear(request: web.Request, _: Served) -> web.Response:
        (await job_of(request)).clear()
        return json_answer({"success": True})

    async def job_of(request: web.Request) -> JobAtWork:
        return find(await context.state(request))

    def find(state: State) -> JobAtWork:
        identity = state.get("inference_request_uuid")
        if identity is None:
            raise Refusal(400, "inference_request_uuid: is missing in the state")
        at_work = context.jobs.find(identity) if isinstance(identity, str) else None
        if at_work is None:
            raise Refusal(404, f"inference_request_uuid: there is no job {shown(identity)} here, or not any more")
        return at_work

    return {
        "get_inference_progress": progress,
        "get_inference_status": progress,
        "pop_inference_results": pop,
        "get_preparing_progress": preparing_progress,
        "get_inference_result": result,
        "stop_inference": stop,
        "clear_inference_request": clear,
    }


def _wait_seconds(state: State) -> float:
    value = state.get("wait_seconds")
    if value is None:
        return WAIT_SECONDS
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        raise Refusal(400, f"wait_seconds: expected a number from 0 on, got {shown(value)}")
    return min(float(value), LONGEST_WAIT_SECONDS)
