"""What the page can change."""

import logging
from collections.abc import Mapping
from typing import Annotated, Any

import anyio.to_thread
import msgspec
from msgspec import Meta

from aiohooks.errors import DeliveryError, LoadError, SpecError
from aiohooks.hooks.running_hook import RunningHook
from aiohooks.rate import Rate
from aiohooks.server.live.shown import Shown
from aiohooks.server.live.thresholds import with_threshold
from aiohooks.server.refusal import Refusal

logger = logging.getLogger("aiohooks.server")

MOST_BYTES = 10_000
"""Of a command."""


class _OfHook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    deployment: str
    hook: int
    name: str


class Pause(_OfHook, frozen=True, tag="pause", tag_field="do"):
    """Have a hook look away, or at frames again."""

    paused: bool


class SetRate(_OfHook, frozen=True, tag="rate", tag_field="do"):
    """Change how often a hook may act; None: without limit."""

    rate: Rate | None


class SetThreshold(_OfHook, frozen=True, tag="threshold", tag_field="do"):
    """Change a threshold of a hook's trigger."""

    path: str
    value: float


class Replay(_OfHook, frozen=True, tag="replay", tag_field="do"):
    """Have a hook's dead letters delivered again."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="settings", tag_field="do"):
    """Change how a deployment infers: requests at once, requests that wait, and the lowest score of what is seen."""

    deployment: str
    places: Annotated[int, Meta(ge=1, le=1024)] | None = None
    room: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    min_score: Annotated[float, Meta(ge=0, le=1)] | None = None


Command = Pause | SetRate | SetThreshold | Replay | Settings

_decoder = msgspec.json.Decoder(Command)


def command_from(data: bytes) -> Command:
    """Return the command that a body holds.

    Raises:
        Refusal: 400, it holds none; the message says what is wrong.
    """
    try:
        command: Command = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise Refusal(400, f"no command: {error}") from None
    return command


async def obey(command: Command, deployments: Mapping[str, Shown], client: str) -> str:
    """Do what a command says, and return what was done, in a sentence.

    Args:
        command: what.
        deployments: by name.
        client: who said so.

    Raises:
        Refusal: 404, there is no such deployment; 409, the hook is not there any more, its store cannot do this, the file that its trigger
            needs is gone, or nobody sends requests to the deployment.
        SpecError: a value is out of its range.
    """
    shown = deployments.get(command.deployment)
    if shown is None:
        raise Refusal(404, f"there is no deployment {command.deployment[:100]!r} here")
    done = _adjust(shown, command) if isinstance(command, Settings) else await _change(_hook(shown, command), command)
    logger.info("live page, %s: %s: %s", client, command.deployment, done)
    return done


def _hook(shown: Shown, command: _OfHook) -> RunningHook:
    hooks = shown.deployment.hooks
    if not 0 <= command.hook < len(hooks) or hooks[command.hook].name != command.name:
        raise Refusal(409, f"the hook {command.name[:100]!r} is not there any more")
    return hooks[command.hook]


async def _change(hook: RunningHook, command: Any) -> str:
    match command:
        case Pause():
            hook.paused = command.paused
            return f"{hook.name} is {'paused' if hook.paused else 'at work again'}"
        case SetRate(rate=None):
            hook.set_rate(None)
            return f"{hook.name} acts without a limit"
        case SetRate(rate=Rate() as rate):
            hook.set_rate(rate)
            return f"{hook.name} acts at most {rate.count} times in {rate.per:g} s"
        case SetThreshold():
            trigger = hook.hook.trigger
            try:  # a trigger may have a file to read
                changed = await anyio.to_thread.run_sync(with_threshold, trigger, command.path, command.value)
            except LoadError as error:
                raise Refusal(409, f"{hook.name}: {error}") from error
            if hook.hook.trigger is not trigger:
                raise Refusal(409, f"{hook.name}: somebody else has changed it just now; look, and try again")
            hook.set_trigger(changed)
            return f"{hook.name}: {command.path} is {command.value:g}"
        case _:
            if hook.delivery is None:
                raise Refusal(409, f"{hook.name} keeps nothing: it has no delivery")
            try:
                replayed = await hook.delivery.replay()
            except DeliveryError as error:
                raise Refusal(409, f"{hook.name}: {error}") from error
            return f"{hook.name}: {replayed:,} dead letters are to be delivered again"


def _adjust(shown: Shown, settings: Settings) -> str:
    if settings == Settings(settings.deployment):
        raise SpecError("settings: give places, room or min_score")
    if not shown.takes_requests and (settings.places is not None or settings.room is not None):
        raise Refusal(409, "nobody sends requests to this deployment, so that it has no places for them")
    said = []
    if settings.places is not None or settings.room is not None:
        admission = shown.served.admission
        admission.resize(places=settings.places, room=settings.room)
        said.append(f"{admission.places} requests at once, {admission.room} may wait")
    if settings.min_score is not None:
        shown.set_floor(settings.min_score)
        said.append(f"the lowest score is {settings.min_score:g}")
    return "; ".join(said)
