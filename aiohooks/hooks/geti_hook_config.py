"""Hooks as geti-sdk saves them in ``hook_config.json``, and back.

    {"post_inference_hooks": [{"PostInferenceHook": {
        "trigger": {"ConfidenceTrigger": {"threshold": 0.7, "label_names": ["cat"]}},
        "action": {"FileSystemDataCollection": {"target_folder": "cats", "file_name_prefix": "cam1_"}},
        "max_threads": 3, "limit_action_rate": true, "max_frames_per_second": 2, "queue_limit": 20}}]}

A class stands with the keywords that it was made with, as in geti-sdk 2.13. Where the two differ:

- ``max_threads`` is `max_concurrency`. 0 means that inference waits for each action: one action at a time, and one event that waits.
- ``queue_limit`` is `max_pending`, and inference waits when so many events do. 0 means no limit to geti-sdk; here it
  is the default one, so that memory is bounded; nothing is lost either way.
- ``limit_action_rate`` and ``max_frames_per_second`` are a `Rate` without bursts, which is the same rule.
- A `LabelTrigger` of ours, like geti-sdk's, fires on the label that stands for nothing; a `ConfidenceTrigger` of ours does
  not, and an `ObjectCountTrigger` counts an object once.

Secrets stand in the file as plain text. They are not taken over: the hook names an environment variable instead.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from aiohooks.errors import SpecError
from aiohooks.fields import fitted
from aiohooks.hooks.actions import FileSystemDataCollection, GetiDataCollection, HttpRequestAction
from aiohooks.hooks.actions.secrets import names_variable, without_secret, without_url_secrets
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.naming import name_of
from aiohooks.hooks.plain_data import at, known_object, struct_from_data, whole_document
from aiohooks.hooks.registry import ACTIONS, TRIGGERS, Registry
from aiohooks.hooks.triggers import (
    AllOf,
    AlwaysTrigger,
    AnyOf,
    ConfidenceTrigger,
    EmptyLabelTrigger,
    LabelTrigger,
    Not,
    ObjectCountTrigger,
)
from aiohooks.rate import Rate

FILE_NAME = "hook_config.json"
"""As geti-sdk calls it, beside the ``project.json`` of a deployment."""

_HOOKS = "post_inference_hooks"
_HOOK = "PostInferenceHook"
_SETTINGS: Mapping[str, Any] = {
    "max_threads": 5,
    "limit_action_rate": False,
    "max_frames_per_second": 1.0,
    "queue_limit": 0,
}
"""Keywords of geti-sdk's hook with their defaults, beside trigger and action."""

_KEYWORDS: Mapping[type, Sequence[str]] = {
    AlwaysTrigger: (),
    EmptyLabelTrigger: (),
    LabelTrigger: ("label_names", "mode"),
    ConfidenceTrigger: ("threshold", "label_names"),
    ObjectCountTrigger: ("threshold", "label_names", "mode"),
    FileSystemDataCollection: (
        "target_folder", "file_name_prefix", "save_predictions", "save_scores", "save_overlays", "log_level",
    ),
    HttpRequestAction: ("url", "method", "headers", "include_prediction_data", "log_level"),
}  # fmt: skip
"""Keywords of the classes that geti-sdk has too; ours have fields of the same names."""

_TOKEN_VARIABLE = "GETI_TOKEN"
_CONTENT_TYPE = ("Content-Type", "application/json")
_PROXY_VARIABLE = "GETI_HTTPS_PROXY"


class FromGeti(NamedTuple):
    """What was read.

    Attributes:
        hooks: in the order of the file.
        notes: what its owner must know or do: which secrets were not taken over, and what to set instead.
    """

    hooks: tuple[PostInferenceHook, ...]
    notes: tuple[str, ...]


class LeftOut(NamedTuple):
    """A hook that geti-sdk cannot express, and why."""

    hook: str
    reason: str


class ForGeti(NamedTuple):
    """The hooks that geti-sdk can express.

    Attributes:
        data: the content of a ``hook_config.json``.
        left_out: the hooks that are not in it.
    """

    data: dict[str, Any]
    left_out: tuple[LeftOut, ...]


def is_geti_hook_config(data: object, file_name: str) -> bool:
    """Tell whether decoded JSON of a file is meant to be in geti-sdk's form, by what is in it or else by the file's name."""
    known = set(data) & {_HOOKS, "hooks"} if isinstance(data, dict) else set()
    return known == {_HOOKS} or (not known and file_name == FILE_NAME)


def hooks_from_geti(data: object) -> FromGeti:
    """Return the hooks that geti-sdk saved.

    A trigger or an action of another name is looked for among those that installed packages offer, and made of its keywords. There is
    no going on without one that is not found: a hook that is quietly missing is noticed when what it should have told is missed.

    Args:
        data: decoded JSON.

    Raises:
        SpecError: something in it is wrong or unknown; the message names the spot, such as
            ``$.post_inference_hooks[0].PostInferenceHook.trigger.ConfidenceTrigger.threshold``.
    """
    notes: list[str] = []
    hooks = []
    with whole_document():
        document = known_object(data, known=[_HOOKS], required=[_HOOKS])
        with at(f".{_HOOKS}"):
            items = fitted(document[_HOOKS], list[Any])
        for i, item in enumerate(items):
            with at(f".{_HOOKS}[{i}]"):
                hooks.append(_hook_from_geti(item, _Hook(i + 1, notes)))
    return FromGeti(tuple(hooks), tuple(notes))


def hooks_to_geti(hooks: Iterable[PostInferenceHook]) -> ForGeti:
    """Return the hooks that geti-sdk can express; it loads none at all if it does not know a class or a keyword.

    Left out is what it has no words for, and what needs a secret. It has none for names of hooks, which are lost, nor for time-outs and
    limits in bytes, of which the default ones pass for none.
    """
    configs, left_out = [], []
    for hook in hooks:
        try:
            configs.append({_HOOK: _hook_to_geti(hook)})
        except _UnknownToGetiError as error:
            left_out.append(LeftOut(hook.title, str(error)))
    return ForGeti({_HOOKS: configs}, tuple(left_out))


class _Hook:
    """The hook that is being read."""

    def __init__(self, number: int, notes: list[str]) -> None:
        self._number = number
        self._notes = notes
        self._variables: set[str] = set()

    def note(self, text: str) -> None:
        self._notes.append(f"hook {self._number}: {text}")

    def variable(self, secret: str) -> str:
        """Return the name of an environment variable for a secret of the hook, another one each time."""
        name = f"HOOK_{self._number}_{secret}"
        while name in self._variables:
            name += "_2"
        self._variables.add(name)
        return name


def _hook_from_geti(data: object, hook: _Hook) -> PostInferenceHook:
    kind, arguments = _class_and_arguments(data)
    if kind != _HOOK:
        raise SpecError(f"unknown hook {kind!r}; known is {_HOOK}")
    with at(f".{_HOOK}"):
        required = ["trigger", "action"]
        given = dict(_SETTINGS) | known_object(arguments, known=[*required, *_SETTINGS], required=required)
        with at(".trigger"):
            trigger = _made(given["trigger"], TRIGGERS, hook)
        with at(".action"):
            action = _made(given["action"], ACTIONS, hook)
        threads, limit = _count(given, "max_threads"), _count(given, "queue_limit")
        options: dict[str, Any] = {"max_concurrency": threads or 1}
        if not threads:
            options["max_pending"] = 1
        elif limit:
            options["max_pending"] = limit
        return PostInferenceHook(trigger=trigger, action=action, rate=_rate(given), **options)


def _class_and_arguments(data: object) -> tuple[str, object]:
    found = fitted(data, dict[str, Any])
    if len(found) != 1:
        raise SpecError(f"expected one class with its keywords, got {', '.join(found) or 'nothing'}")
    [(name, arguments)] = found.items()
    return name, arguments


def _made(data: object, registry: Registry, hook: _Hook) -> Any:
    name, arguments = _class_and_arguments(data)
    cls = registry.find(name)
    with at(f".{name}"):
        given: dict[str, Any] = fitted(arguments, dict[str, Any])
        return struct_from_data(_OWN_WAYS.get(name, _as_it_is)(given, hook), cls)


def _count(given: Mapping[str, Any], name: str) -> int:
    with at(f".{name}"):
        value: int = fitted(given[name], int)
        if value < 0:
            raise SpecError(f"Expected int >= 0, got {value}")
        return value


def _rate(given: Mapping[str, Any]) -> Rate | None:
    with at(".limit_action_rate"):
        limited = fitted(given["limit_action_rate"], bool)
    with at(".max_frames_per_second"):
        per_second = fitted(given["max_frames_per_second"], float)
        if not limited:
            return None
        if not (0 < per_second < math.inf):
            raise SpecError(f"Expected float > 0, got {per_second}")
        if per_second.is_integer():
            return Rate(int(per_second), per=1.0)
        return Rate(1, per=1 / per_second)


def _as_it_is(given: dict[str, Any], _hook: _Hook) -> dict[str, Any]:
    return given


def _with_text(given: dict[str, Any], name: str, change: Callable[[str], str]) -> dict[str, Any]:
    if name not in given:
        return given
    with at(f".{name}"):
        return given | {name: change(fitted(given[name], str))}


def _label_trigger(given: dict[str, Any], _hook: _Hook) -> dict[str, Any]:
    # To geti-sdk all is OR that is not AND, but "and" was hardly meant so.
    return _with_text(given, "mode", lambda mode: "OR" if mode.upper() == "OR" else mode)


def _object_count_trigger(given: dict[str, Any], _hook: _Hook) -> dict[str, Any]:
    threshold = given.get("threshold")
    if isinstance(threshold, float) and threshold.is_integer():
        given = given | {"threshold": int(threshold)}
    return _with_text(given, "mode", str.lower)


def _file_system_data_collection(given: dict[str, Any], _hook: _Hook) -> dict[str, Any]:
    return _with_text(given, "log_level", str.lower)


def _http_request_action(given: dict[str, Any], hook: _Hook) -> dict[str, Any]:
    given = _with_text(_with_text(given, "log_level", str.lower), "url", partial(_safe_url, hook))
    if given.get("include_prediction_data") and given.get("method") != "POST":
        given = given | {"include_prediction_data": False}  # where geti-sdk sends none either
    given = _with_text(given, "method", str.upper)
    if given.get("headers") is None:
        return given
    with at(".headers"):
        headers = fitted(given["headers"], dict[str, str])
    if given.get("include_prediction_data"):
        # geti-sdk has put it there itself.
        headers = {name: value for name, value in headers.items() if (name, value) != _CONTENT_TYPE}
    return given | {"headers": {name: _safe_header(hook, name, value) for name, value in headers.items()}}


def _safe_url(hook: _Hook, url: str) -> str:
    safe, variables = without_url_secrets(url, hook.variable)
    for variable in variables:
        hook.note(_not_taken_over("a secret in the URL of its HttpRequestAction", variable))
    return safe


def _safe_header(hook: _Hook, name: str, value: str) -> str:
    safe, variable = without_secret(name, value, hook.variable)
    if variable is not None:
        hook.note(_not_taken_over(f"the secret in the header {name!r} of its HttpRequestAction", variable))
    return safe


def _geti_data_collection(given: dict[str, Any], hook: _Hook) -> dict[str, Any]:
    keywords = ["session", "workspace_id", "project", "dataset", "log_level"]
    known_object(given, known=keywords, required=["session", "project"])
    with at(".session"):
        session = fitted(given["session"], dict[str, Any])
        if "host" not in session:
            raise SpecError("the field 'host' is missing")
        with at(".has_valid_certificate"):
            verified = fitted(session.get("has_valid_certificate", False), bool)
    secret = "the password" if "password" in session else "the token"
    hook.note(
        _not_taken_over(f"{secret} of its GetiDataCollection", _TOKEN_VARIABLE, "a personal access token of Geti")
    )
    if session.get("proxies"):
        hook.note(
            f"the proxy of its GetiDataCollection is not taken over: set the environment variable {_PROXY_VARIABLE}"
        )
    if not verified:
        hook.note(
            "its GetiDataCollection does not verify the certificate of the server (has_valid_certificate is false)"
        )
    taken = {name: value for name, value in given.items() if name != "session"}
    taken |= {"host": session["host"], "token_variable": _TOKEN_VARIABLE, "verify_certificate": verified}
    return _with_text(taken, "log_level", str.lower)


_OWN_WAYS: Mapping[str, Callable[[dict[str, Any], _Hook], dict[str, Any]]] = {
    "LabelTrigger": _label_trigger,
    "ObjectCountTrigger": _object_count_trigger,
    "FileSystemDataCollection": _file_system_data_collection,
    "HttpRequestAction": _http_request_action,
    "GetiDataCollection": _geti_data_collection,
}
"""How keywords of geti-sdk become fields of ours, where they are not the same."""


def _not_taken_over(what: str, variable: str, content: str = "it") -> str:
    return (
        f"{what} is not taken over: put {content} into the environment variable {variable}."
        " It stands in the file as plain text: remove it there"
    )


class _UnknownToGetiError(Exception):
    """geti-sdk cannot express this; the message says why."""


def _hook_to_geti(hook: PostInferenceHook) -> dict[str, Any]:
    for name in ("overflow", "max_pending_bytes", "timeout", "delivery"):
        if getattr(hook, name) != _default(PostInferenceHook, name):
            raise _UnknownToGetiError(f"geti-sdk has no {name}")
    if hook.rate is not None and hook.rate.burst != 1:
        raise _UnknownToGetiError("geti-sdk's rate has no burst")
    per_second = 1.0 if hook.rate is None else hook.rate.count / hook.rate.per
    if not math.isfinite(per_second):
        raise _UnknownToGetiError("geti-sdk has no such rate")
    return {
        "trigger": _trigger_to_geti(hook.trigger),
        "action": _action_to_geti(hook.action),
        "max_threads": hook.max_concurrency,
        "limit_action_rate": hook.rate is not None,
        "max_frames_per_second": per_second,
        "queue_limit": hook.max_pending,
    }


def _trigger_to_geti(trigger: object) -> dict[str, Any]:
    if isinstance(trigger, AllOf | AnyOf | Not):
        raise _UnknownToGetiError("geti-sdk has no combinations of triggers")
    return _to_geti(trigger)


def _action_to_geti(action: object) -> dict[str, Any]:
    if isinstance(action, GetiDataCollection):
        raise _UnknownToGetiError(
            "geti-sdk's GetiDataCollection needs a token in the file, and secrets are never written"
        )
    if isinstance(action, HttpRequestAction):
        if any(map(names_variable, (action.url, *(action.headers or {}).values()))):
            raise _UnknownToGetiError(
                "its HttpRequestAction names an environment variable, which geti-sdk does not look up"
            )
        if action.include_prediction_data and action.method != "POST":
            raise _UnknownToGetiError("geti-sdk sends predictions only with POST")
    data = _to_geti(action)
    if isinstance(action, FileSystemDataCollection | HttpRequestAction) and action.log_level not in ("debug", "info"):
        raise _UnknownToGetiError(f"geti-sdk has no log_level {action.log_level!r}")
    return data


def _to_geti(value: object) -> dict[str, Any]:
    keywords = _KEYWORDS.get(type(value))
    if keywords is None or not isinstance(value, msgspec.Struct):
        raise _UnknownToGetiError(f"geti-sdk has no {name_of(value)}")
    for field in msgspec.structs.fields(value):
        if field.name not in keywords and getattr(value, field.name) != field.default:
            raise _UnknownToGetiError(f"geti-sdk's {name_of(value)} has no {field.name}")
    return {name_of(value): {name: msgspec.to_builtins(getattr(value, name)) for name in keywords}}


def _default(cls: type[msgspec.Struct], name: str) -> Any:
    return next(field.default for field in msgspec.structs.fields(cls) if field.name == name)
