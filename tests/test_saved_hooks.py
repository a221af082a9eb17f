"""Hooks go to JSON and come back the same, and what is wrong in the JSON is said with its place."""

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from any_json import json_values, put_anywhere
from hypothesis import given
from hypothesis import strategies as st
from installed_package import installed

from aiohooks.delivery.delivery import Delivery
from aiohooks.delivery.spool import Spool
from aiohooks.errors import SpecError
from aiohooks.hooks.actions import FileSystemDataCollection, GetiDataCollection, HttpRequestAction, LogAction
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.saved import hooks_from_json, hooks_to_json, load_hooks, save_hooks
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

names = st.lists(st.text(min_size=1), min_size=1, max_size=3)
levels: Any = st.sampled_from(["debug", "info", "warning", "error", "critical"])
counts = st.integers(1, 2**53)
seconds = st.floats(0.001, 86400)
modes: Any = st.sampled_from(["greater", "lower", "equal"])
any_or_all: Any = st.sampled_from(["OR", "AND"])
simple_triggers = st.one_of(
    st.just(AlwaysTrigger()),
    st.just(EmptyLabelTrigger()),
    st.builds(LabelTrigger, names, any_or_all),
    st.builds(ConfidenceTrigger, st.floats(0, 1), st.none() | names),
    st.builds(ObjectCountTrigger, st.integers(0, 99), st.none() | names, modes),
)
triggers = st.recursive(
    simple_triggers,
    lambda parts: st.builds(Not, parts) | st.lists(parts, min_size=1, max_size=3).flatmap(
        lambda some: st.sampled_from([AllOf(some), AnyOf(some)])
    ),
    max_leaves=6,
)  # fmt: skip
actions = st.one_of(
    st.builds(LogAction, levels, st.text(st.characters(exclude_characters="{}"))),
    st.builds(
        FileSystemDataCollection, st.text(min_size=1), st.text(), st.booleans(), st.booleans(), st.booleans(),
        st.sampled_from(["png", "jpeg"]), st.integers(1, 100), levels,
    ),
    st.builds(
        HttpRequestAction, st.sampled_from(["http://a/", "https://b:1/c?d=e", "${HOOK_URL}"]),
        st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
        st.none() | st.just({}) | st.just({"Authorization": "Bearer ${TOKEN}", "X-Site": "ñ"}),
        st.booleans(), st.sampled_from(["none", "multipart"]), seconds, levels,
    ),
    st.builds(
        GetiDataCollection, st.text(min_size=1), st.none() | st.text(min_size=1), st.sampled_from([None, "https://geti"]),
        st.sampled_from(["GETI_TOKEN", "MY_TOKEN"]), st.none() | st.text(min_size=1), st.booleans(), st.booleans(), seconds, levels,
    ),
)  # fmt: skip
deliveries = st.builds(
    Delivery, st.builds(Spool, st.text(min_size=1), st.sampled_from(["always", "interval", "never"]), counts),
    st.integers(0, 99), st.none() | st.builds(Rate, counts, seconds, counts), st.booleans(), seconds,
)  # fmt: skip
hooks = st.builds(
    PostInferenceHook, trigger=triggers, action=actions, name=st.text(), max_concurrency=counts, max_pending=counts,
    max_pending_bytes=counts, overflow=st.sampled_from(["block", "drop_newest", "drop_oldest"]),
    rate=st.none() | st.builds(Rate, counts, seconds, counts), timeout=st.none() | seconds, delivery=st.none() | deliveries,
)  # fmt: skip

DOGS = PostInferenceHook(
    trigger=LabelTrigger(["dog"]) & ~ConfidenceTrigger(0.4),
    action=HttpRequestAction("https://host/", "POST", {"Authorization": "Bearer ${TOKEN}"}),
    rate=Rate(1, per=2.0),
)


@given(st.lists(hooks, max_size=3))
def test_hooks_come_back_as_they_were(some: list[PostInferenceHook]) -> None:
    data = json.loads(json.dumps(hooks_to_json(some)))
    assert hooks_from_json(data) == tuple(some)


def test_the_form_is_this_one_and_leaves_defaults_out() -> None:
    assert hooks_to_json([DOGS]) == {
        "version": 1,
        "hooks": [
            {
                "trigger": {
                    "type": "AllOf",
                    "parts": [
                        {"type": "LabelTrigger", "label_names": ["dog"]},
                        {"type": "Not", "part": {"type": "ConfidenceTrigger", "threshold": 0.4}},
                    ],
                },
                "action": {
                    "type": "HttpRequestAction",
                    "url": "https://host/",
                    "method": "POST",
                    "headers": {"Authorization": "Bearer ${TOKEN}"},
                },
                "rate": {"count": 1, "per": 2.0},
            }
        ],
    }


def test_a_file_holds_them_for_people_to_read(tmp_path: Path) -> None:
    path = tmp_path / "hooks.json"
    save_hooks(path, [DOGS, DOGS])
    assert load_hooks(str(path)) == (DOGS, DOGS)
    assert path.read_text().startswith('{\n  "version": 1,\n  "hooks": [\n')
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_hooks(path) == (DOGS, DOGS)


def test_a_save_replaces_the_file_and_does_not_write_into_it(tmp_path: Path) -> None:
    path, reader = tmp_path / "hooks.json", tmp_path / "opened earlier"
    save_hooks(path, [DOGS])
    reader.hardlink_to(path)
    save_hooks(path, [])
    assert (load_hooks(path), load_hooks(reader)) == ((), (DOGS,))


def test_a_save_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "hooks.json"
    save_hooks(path, [DOGS])
    old = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) + 10, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_hooks(path, [DOGS] * 9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(
        SpecError, match=r"\$\.hooks\[1\]\.action: the action print cannot be saved, because it is code"
    ):
        save_hooks(path, [DOGS, PostInferenceHook(trigger=AlwaysTrigger(), action=print)])
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["hooks.json"]  # noqa: PTH208  # names are compared


def test_code_in_a_combination_cannot_be_saved_and_is_named_with_its_place() -> None:
    async def is_dark(frame: object, prediction: object) -> bool:
        return True

    hook = PostInferenceHook(trigger=AlwaysTrigger() | (LabelTrigger(["dog"]) & is_dark), action=LogAction())
    with pytest.raises(
        SpecError, match=r"\$\.hooks\[1\]\.trigger\.parts\[1\]\.parts\[1\]: the trigger is_dark cannot be saved"
    ):
        hooks_to_json([DOGS, hook])


def document(**hook: Any) -> Any:
    return {"version": 1, "hooks": [{"trigger": {"type": "AlwaysTrigger"}, "action": {"type": "LogAction"}} | hook]}


def nested(part: Any) -> Any:
    return document(trigger={"type": "AllOf", "parts": [{"type": "AlwaysTrigger"}, {"type": "Not", "part": part}]})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (3, r"$: Expected object, got int"),
        ({}, r"$: the field 'version' is missing"),
        ({"version": 1}, r"$: the field 'hooks' is missing"),
        ({"version": 1, "hooks": [], "hook": 1}, r"$: unknown field 'hook'; known are version, hooks"),
        ({"version": "1", "hooks": []}, r"$.version: Expected int, got str"),
        ({"version": True, "hooks": []}, r"$.version: Expected int, got bool"),
        ({"version": 2, "hooks": []}, r"$.version: Expected 1, got 2: another version of aiohooks wrote this"),
        ({"version": 1, "hooks": {}}, r"$.hooks: Expected array, got object"),
        ({"version": 1, "hooks": [None]}, r"$.hooks[0]: Expected object, got null"),
        ({"version": 1, "hooks": [{"action": {"type": "LogAction"}}]}, r"$.hooks[0]: the field 'trigger' is missing"),
        (document(nome="x"), r"$.hooks[0]: unknown field 'nome'; known are trigger, action, name, max_concurrency,"),
        (document(name=3), r"$.hooks[0].name: Expected str, got int"),
        (document(max_concurrency=0), r"$.hooks[0].max_concurrency: Expected int >= 1, got 0"),
        (document(overflow="drop"), r"$.hooks[0].overflow: Invalid enum value 'drop'; expected block or drop_newest or"),
        (document(timeout=10**400), r"$.hooks[0].timeout: Number out of range"),
        (document(timeout=-1), r"$.hooks[0].timeout: Expected float > 0.0, got -1"),
        (document(rate=3), r"$.hooks[0].rate: Expected object, got int"),
        (document(rate={"count": 1, "hz": 2}), r"$.hooks[0].rate: unknown field 'hz'; known are count, per, burst"),
        (document(rate={"count": 0}), r"$.hooks[0].rate.count: Expected int >= 1, got 0"),
        (document(rate={"count": 1.5}), r"$.hooks[0].rate.count: Expected int, got float"),
        (document(trigger="AlwaysTrigger"), r"$.hooks[0].trigger: Expected object, got str"),
        (document(trigger={}), r"$.hooks[0].trigger: the field 'type' is missing; it names the trigger"),
        (document(trigger={"type": 1}), r"$.hooks[0].trigger.type: Expected str, got int"),
        (document(trigger={"type": "LogAction"}), r"$.hooks[0].trigger.type: unknown trigger 'LogAction'; known are Always"),
        (document(action={"type": "os:system"}), r"$.hooks[0].action.type: unknown action 'os:system'; known are FileSys"),
        (document(trigger={"type": "LabelTrigger"}), r"$.hooks[0].trigger: the field 'label_names' is missing"),
        (nested({"type": "ConfidenceTrigger", "threshold": "x"}), r"$.hooks[0].trigger.parts[1].part.threshold: Expected float, got str"),
        (nested({"type": "ConfidenceTrigger", "threshold": 1.5}), r"$.hooks[0].trigger.parts[1].part.threshold: Expected float <= 1.0, got 1.5"),
        (nested({"type": "ConfidenceTrigger", "treshold": 1}), r"$.hooks[0].trigger.parts[1].part: unknown field 'treshold'; known are threshold, label_names"),
        (nested({"type": "LabelTrigger", "label_names": ["a", 3]}), r"$.hooks[0].trigger.parts[1].part.label_names[1]: Expected str, got int"),
        (nested({"type": "LabelTrigger", "label_names": "a"}), r"$.hooks[0].trigger.parts[1].part.label_names: Expected array, got str; write ['a']"),
        (nested({"type": "AllOf", "parts": []}), r"$.hooks[0].trigger.parts[1].part: AllOf: parts must hold at least one trigger"),
        (nested({"type": "Dark"}), r"$.hooks[0].trigger.parts[1].part.type: unknown trigger 'Dark'"),
        (nested(None), r"$.hooks[0].trigger.parts[1].part: Expected object, got null"),
        (document(action={"type": "HttpRequestAction", "url": "http://h", "headers": {"Cookie": "hunter22"}}), r"$.hooks[0].action: HttpRequestAction.headers['Cookie'] must not hold the secret itself"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(data: object, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        hooks_from_json(data)
    assert str(caught.value).startswith(problem)
    assert "hunter22" not in str(caught.value)


@given(st.data(), hooks, json_values)
def test_any_value_in_any_place_is_read_or_refused_with_a_place(data: st.DataObject, hook: Any, value: Any) -> None:
    document = hooks_to_json([hook])
    put_anywhere(data, value, document)
    try:
        hooks_from_json(document)
    except SpecError as error:
        assert str(error).startswith("$")  # noqa: PT017  # most values, but not all, are refused


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "line 1, column 1: Expecting value"),
        (b'{"version": 1,\n "hooks": [}', "line 2, column 12: Expecting value"),
        (b'{"version": 1, "hooks": []} x', "line 1, column 29: Extra data"),
        (b"\xff\xfe\xfd", "cannot be read: 'utf-16.*can't decode"),
        (b'{"version": ' + b"9" * 5000 + b"}", "cannot be read: .*digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"version": 3, "hooks": []}', r"\$\.version: Expected 1, got 3"),
    ],
)
def test_a_broken_file_is_an_error_that_names_file_and_place(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "hooks.json"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=f"^{path}: {problem}"):
        load_hooks(path)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"missing\.json: cannot be read: .*No such file"):
        load_hooks(tmp_path / "missing.json")


def test_triggers_nested_beyond_reason_are_refused() -> None:
    part: Any = {"type": "AlwaysTrigger"}
    for _ in range(5000):
        part = {"type": "Not", "part": part}
    with pytest.raises(SpecError, match="nested too deeply"):
        hooks_from_json(document(trigger=part))


PACKAGE = """
from typing import Any
import msgspec
from aiohooks.hooks.actions import Action
from aiohooks.hooks.triggers import SyncTrigger, Trigger

class Twice(msgspec.Struct, frozen=True, tag=True):
    action: Action
    times: int = 2
    async def __call__(self, event): ...

class After(SyncTrigger, frozen=True, tag=True):
    first: Trigger

class Broken(msgspec.Struct, frozen=True, tag=True):
    def __post_init__(self):
        raise ZeroDivisionError("by the package")
    async def __call__(self, event): ...

class Odd(msgspec.Struct, frozen=True, tag=True):
    value: frozenset[complex] = frozenset()
    async def __call__(self, event): ...
"""
ENTRY_POINTS = """
[aiohooks.triggers]
After = acme_saved:After
[aiohooks.actions]
Twice = acme_saved:Twice
Broken = acme_saved:Broken
Odd = acme_saved:Odd
"""


@pytest.fixture
def acme(tmp_path: Path) -> Any:
    with installed(tmp_path / "site", "acme_saved", PACKAGE, ENTRY_POINTS):
        yield


@pytest.mark.usefixtures("acme")
def test_classes_of_packages_hold_others_and_come_back() -> None:
    data = document(
        trigger={"type": "After", "first": {"type": "Not", "part": {"type": "AlwaysTrigger"}}},
        action={"type": "Twice", "action": {"type": "Twice", "action": {"type": "LogAction"}}, "times": 3},
    )
    [hook] = hooks_from_json(data)
    assert (type(hook.action).__module__, hook.action.action.action) == ("acme_saved", LogAction())
    assert hook.trigger.first == Not(AlwaysTrigger())
    assert hooks_to_json([hook]) == data


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("action", "problem"),
    [
        ({"type": "Twice", "action": {"type": "Nope"}}, "$.hooks[0].action.action.type: unknown action 'Nope'"),
        ({"type": "Broken"}, "$.hooks[0].action: Broken: by the package"),
        (
            {"type": "Odd", "value": [1]},
            "$.hooks[0].action.value[0]: a field of type <class 'complex'> cannot be read",
        ),
    ],
)
def test_what_is_wrong_in_a_class_of_a_package_is_said_with_its_place(action: Any, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        hooks_from_json(document(action=action))
    assert str(caught.value).startswith(problem)


@pytest.mark.usefixtures("acme")
def test_a_value_that_json_cannot_hold_cannot_be_saved() -> None:
    [hook] = hooks_from_json(document(action={"type": "Odd"}))
    odd: Callable[..., Any] = type(hook.action)
    with pytest.raises(
        SpecError, match=r"\$\.hooks\[0\]\.action\.value: Encoding objects of type complex is unsupported"
    ):
        hooks_to_json([PostInferenceHook(trigger=AlwaysTrigger(), action=odd(frozenset([1j])))])
