"""Hooks as geti-sdk saves them are read; what it can have of ours is written, and no secret either way."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from any_json import json_values, put_anywhere
from hypothesis import given
from hypothesis import strategies as st
from installed_package import installed

from aiohooks.errors import SpecError
from aiohooks.hooks.actions import FileSystemDataCollection, GetiDataCollection, HttpRequestAction, LogAction
from aiohooks.hooks.geti_hook_config import hooks_from_geti, hooks_to_geti
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.saved import load_hooks
from aiohooks.hooks.triggers import (
    AlwaysTrigger,
    ConfidenceTrigger,
    EmptyLabelTrigger,
    LabelTrigger,
    ObjectCountTrigger,
)
from aiohooks.rate import Rate, RateLimiter

SETTINGS = {"max_threads": 5, "limit_action_rate": False, "max_frames_per_second": 1, "queue_limit": 0}
ALWAYS = {"AlwaysTrigger": {}}
STORE = {"FileSystemDataCollection": {"target_folder": "kept"}}
# Written by geti-sdk 2.13.1.
WRITTEN = """{"post_inference_hooks": [{"PostInferenceHook": {
    "trigger": {"ConfidenceTrigger": {"threshold": 0.7, "label_names": ["red"]}},
    "action": {"FileSystemDataCollection": {"target_folder": "kept", "file_name_prefix": "cam1_", "save_predictions": true,
    "save_scores": true, "save_overlays": true, "log_level": "debug"}},
    "max_threads": 3, "limit_action_rate": true, "max_frames_per_second": 2, "queue_limit": 0}}]}"""


def config(trigger: Any = ALWAYS, action: Any = STORE, **settings: Any) -> dict[str, Any]:
    hook = {"trigger": trigger, "action": action} | SETTINGS | settings
    return {"post_inference_hooks": [{"PostInferenceHook": hook}]}


def read(trigger: Any = ALWAYS, action: Any = STORE, **settings: Any) -> PostInferenceHook:
    hooks, notes = hooks_from_geti(config(trigger, action, **settings))
    assert notes == ()
    return hooks[0]


def test_what_geti_sdk_wrote_is_read() -> None:
    assert hooks_from_geti(json.loads(WRITTEN)).hooks == (
        PostInferenceHook(
            trigger=ConfidenceTrigger(0.7, ["red"]),
            action=FileSystemDataCollection("kept", "cam1_"),
            max_concurrency=3,
            rate=Rate(2),
        ),
    )


@pytest.mark.parametrize(
    ("data", "trigger"),
    [
        ({"AlwaysTrigger": {}}, AlwaysTrigger()),
        ({"EmptyLabelTrigger": {}}, EmptyLabelTrigger()),
        ({"LabelTrigger": {"label_names": ["cat"], "mode": "AND"}}, LabelTrigger(["cat"], "AND")),
        ({"LabelTrigger": {"label_names": ["cat"]}}, LabelTrigger(["cat"])),
        ({"LabelTrigger": {"label_names": ["cat"], "mode": "or"}}, LabelTrigger(["cat"])),
        ({"ObjectCountTrigger": {"threshold": 2.0}}, ObjectCountTrigger(2)),
        ({"ConfidenceTrigger": {"threshold": 0.7, "label_names": None}}, ConfidenceTrigger(0.7)),
        ({"ConfidenceTrigger": {"threshold": 1}}, ConfidenceTrigger(1.0)),
        (
            {"ObjectCountTrigger": {"threshold": 2, "label_names": ["cat"], "mode": "Lower"}},
            ObjectCountTrigger(2, ["cat"], "lower"),
        ),
    ],
)
def test_triggers_are_read(data: Any, trigger: Any) -> None:
    assert read(trigger=data).trigger == trigger


@pytest.mark.parametrize(
    ("data", "action"),
    [
        (
            {"target_folder": "a", "file_name_prefix": "b", "save_predictions": False, "save_scores": False, "save_overlays": False, "log_level": "INFO"},
            FileSystemDataCollection("a", "b", False, False, False, log_level="info"),
        ),
        ({"url": "http://h/"}, HttpRequestAction("http://h/")),
        (
            {"url": "http://h/", "method": "POST", "headers": {"X-Site": "1", "Content-Type": "application/json"}, "include_prediction_data": True, "log_level": "debug"},
            HttpRequestAction("http://h/", "POST", {"X-Site": "1"}, True, log_level="debug"),
        ),
        ({"url": "http://h/", "method": "put", "headers": None}, HttpRequestAction("http://h/", "PUT")),
        ({"url": "http://h/", "method": "GET", "include_prediction_data": True}, HttpRequestAction("http://h/")),
    ],
)  # fmt: skip
def test_actions_are_read(data: Any, action: Any) -> None:
    assert read(action={type(action).__name__: data}).action == action


@pytest.mark.parametrize(
    ("settings", "hook"),
    [
        ({}, {}),
        ({"max_threads": 3}, {"max_concurrency": 3}),
        ({"max_threads": 3, "queue_limit": 20}, {"max_concurrency": 3, "max_pending": 20}),
        ({"max_threads": 0}, {"max_concurrency": 1, "max_pending": 1}),
        ({"max_threads": 0, "queue_limit": 20}, {"max_concurrency": 1, "max_pending": 1}),
        ({"max_frames_per_second": 2}, {}),
        ({"limit_action_rate": True}, {"rate": Rate(1, per=1.0)}),
        ({"limit_action_rate": True, "max_frames_per_second": 30}, {"rate": Rate(30, per=1.0)}),
        ({"limit_action_rate": True, "max_frames_per_second": 0.1}, {"rate": Rate(1, per=10.0)}),
    ],
)
def test_threads_queue_and_rate_are_read(settings: Any, hook: Any) -> None:
    expected = PostInferenceHook(trigger=AlwaysTrigger(), action=FileSystemDataCollection("kept"), **hook)
    assert read(**settings) == expected
    assert expected.overflow == "block"


def test_settings_may_be_left_out() -> None:
    data = {"post_inference_hooks": [{"PostInferenceHook": {"trigger": ALWAYS, "action": STORE}}]}
    assert hooks_from_geti(data).hooks[0] == read()


@given(st.floats(0.001, 1e6), st.lists(st.floats(0, 2), max_size=20))
def test_a_rate_passes_what_geti_sdks_passes(per_second: float, pauses: list[float]) -> None:
    rate = read(limit_action_rate=True, max_frames_per_second=per_second).rate
    assert rate is not None
    limiter, interval, now, due = RateLimiter(rate), 1 / per_second, 0.0, 0.0
    for pause in pauses:
        now += pause * interval
        passes = now >= due  # as geti-sdk's RateLimiter decides
        if math.isclose(now, due, rel_tol=1e-6, abs_tol=1e-6):
            return
        assert limiter.allows(round(now * 1e9)) is passes
        due = now + interval if passes else due


def action(**keywords: Any) -> dict[str, Any]:
    return config(action={"HttpRequestAction": {"url": "http://h/"} | keywords})


def collection(session: Any, **keywords: Any) -> dict[str, Any]:
    return config(action={"GetiDataCollection": {"session": session, "project": "Dogs"} | keywords})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([], "$: Expected object, got array"),
        ({}, "$: the field 'post_inference_hooks' is missing"),
        ({"post_inference_hooks": [], "x": 1}, "$: unknown field 'x'; known are post_inference_hooks"),
        ({"post_inference_hooks": {}}, "$.post_inference_hooks: Expected array, got object"),
        ({"post_inference_hooks": [1]}, "$.post_inference_hooks[0]: Expected object, got int"),
        ({"post_inference_hooks": [{}]}, "$.post_inference_hooks[0]: expected one class with its keywords, got nothing"),
        ({"post_inference_hooks": [{"A": {}, "B": {}}]}, "$.post_inference_hooks[0]: expected one class with its keywords, got A, B"),
        ({"post_inference_hooks": [{"MyHook": {}}]}, "$.post_inference_hooks[0]: unknown hook 'MyHook'; known is PostInferenceHook"),
        ({"post_inference_hooks": [{"PostInferenceHook": {"trigger": {}}}]}, "$.post_inference_hooks[0].PostInferenceHook: the field 'action' is missing"),
        (config(nice=1), "$.post_inference_hooks[0].PostInferenceHook: unknown field 'nice'; known are trigger, action, max_threads,"),
        (config(max_threads=-1), "$.post_inference_hooks[0].PostInferenceHook.max_threads: Expected int >= 0, got -1"),
        (config(max_threads="5"), "$.post_inference_hooks[0].PostInferenceHook.max_threads: Expected int, got str"),
        (config(max_threads=None), "$.post_inference_hooks[0].PostInferenceHook.max_threads: Expected int, got null"),
        (config(queue_limit=0.5), "$.post_inference_hooks[0].PostInferenceHook.queue_limit: Expected int, got float"),
        (config(limit_action_rate=1), "$.post_inference_hooks[0].PostInferenceHook.limit_action_rate: Expected bool, got int"),
        (config(limit_action_rate=True, max_frames_per_second=0), "$.post_inference_hooks[0].PostInferenceHook.max_frames_per_second: Expected float > 0, got 0"),
        (config(limit_action_rate=True, max_frames_per_second=math.inf), "$.post_inference_hooks[0].PostInferenceHook.max_frames_per_second: Expected float > 0, got inf"),
        (config(limit_action_rate=True, max_frames_per_second=5e-324), "$.post_inference_hooks[0].PostInferenceHook.max_frames_per_second: Rate.per: it must be finite"),
        (config(trigger="AlwaysTrigger"), "$.post_inference_hooks[0].PostInferenceHook.trigger: Expected object, got str"),
        (config(trigger={"WeatherTrigger": {}}), "$.post_inference_hooks[0].PostInferenceHook.trigger: unknown trigger 'WeatherTrigger'; known are Always"),
        (config(action={"os.system": {}}), "$.post_inference_hooks[0].PostInferenceHook.action: unknown action 'os.system'; known are FileSystem"),
        (config(trigger={"AlwaysTrigger": {"x": 1}}), "$.post_inference_hooks[0].PostInferenceHook.trigger.AlwaysTrigger: unknown field 'x'; known are none"),
        (config(trigger={"ConfidenceTrigger": {"threshold": 70}}), "$.post_inference_hooks[0].PostInferenceHook.trigger.ConfidenceTrigger.threshold: Expected float <= 1.0, got 70"),
        (config(trigger={"ObjectCountTrigger": {"mode": 3}}), "$.post_inference_hooks[0].PostInferenceHook.trigger.ObjectCountTrigger.mode: Expected str, got int"),
        (config(trigger={"ObjectCountTrigger": {"mode": "more"}}), "$.post_inference_hooks[0].PostInferenceHook.trigger.ObjectCountTrigger.mode: Invalid enum value 'more'; expected greater or lower or equal"),
        (config(trigger={"LabelTrigger": {"label_names": ["a"], "mode": "and"}}), "$.post_inference_hooks[0].PostInferenceHook.trigger.LabelTrigger.mode: Invalid enum value 'and'; expected OR or AND"),
        (config(action={"FileSystemDataCollection": None}), "$.post_inference_hooks[0].PostInferenceHook.action.FileSystemDataCollection: Expected object, got null"),
        (action(url=3), "$.post_inference_hooks[0].PostInferenceHook.action.HttpRequestAction.url: Expected str, got int"),
        (action(url="http://[hunter22"), "$.post_inference_hooks[0].PostInferenceHook.action.HttpRequestAction.url: this is not a valid URL"),
        (action(method=3), "$.post_inference_hooks[0].PostInferenceHook.action.HttpRequestAction.method: Expected str, got int"),
        (action(method="HEAD"), "$.post_inference_hooks[0].PostInferenceHook.action.HttpRequestAction.method: Invalid enum value 'HEAD'; expected GET or"),
        (action(headers={"Cookie": 3}), "$.post_inference_hooks[0].PostInferenceHook.action.HttpRequestAction.headers[...]: Expected str, got int"),
        (collection("hunter22"), "$.post_inference_hooks[0].PostInferenceHook.action.GetiDataCollection.session: Expected object, got str"),
        (collection({"token": "hunter22"}), "$.post_inference_hooks[0].PostInferenceHook.action.GetiDataCollection.session: the field 'host' is missing"),
        (collection({"host": 3, "token": "hunter22"}), "$.post_inference_hooks[0].PostInferenceHook.action.GetiDataCollection.host: Expected str | null, got int"),
        (collection({"host": "h"}, token="hunter22"), "$.post_inference_hooks[0].PostInferenceHook.action.GetiDataCollection: unknown field 'token'; known are session,"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(data: Any, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        hooks_from_geti(data)
    assert str(caught.value).startswith(problem)
    assert "hunter22" not in str(caught.value)


samples = st.sampled_from(
    [
        json.loads(WRITTEN),
        action(method="POST", headers={"Authorization": "Bearer x"}),
        collection({"host": "https://h", "token": "t", "has_valid_certificate": True, "proxies": None}, dataset="d"),
        config({"LabelTrigger": {"label_names": ["cat"], "mode": "OR"}}),
    ]
)


@given(st.data(), samples, json_values)
def test_any_value_in_any_place_is_read_or_refused_with_a_place(data: st.DataObject, sample: Any, value: Any) -> None:
    document = json.loads(json.dumps(sample))
    put_anywhere(data, value, document)
    try:
        hooks_from_geti(document)
    except SpecError as error:
        assert str(error).startswith("$")  # noqa: PT017  # most values, but not all, are refused


HEADERS = {
    "Authorization": "Bearer hunter22",
    "Proxy-Authorization": "hunter22",
    "X-API-Key": "hunter 22",
    "X-Site": "north",
    "Content-Type": "application/json",
}


def test_secrets_in_headers_are_not_taken_over() -> None:
    hooks, notes = hooks_from_geti(action(headers=HEADERS))
    assert hooks[0].action.headers == {
        "Authorization": "Bearer ${HOOK_1_AUTHORIZATION}",
        "Proxy-Authorization": "${HOOK_1_PROXY_AUTHORIZATION}",
        "X-API-Key": "${HOOK_1_X_API_KEY}",
        "X-Site": "north",
        "Content-Type": "application/json",
    }
    assert len(notes) == 3
    assert notes[0] == (
        "hook 1: the secret in the header 'Authorization' of its HttpRequestAction is not taken over: put it into the"
        " environment variable HOOK_1_AUTHORIZATION. It stands in the file as plain text: remove it there"
    )
    assert "hunter" not in f"{notes}"


def test_secrets_of_webhooks_are_not_taken_over() -> None:
    hooks, _ = hooks_from_geti(action(url="https://h/a?sv=1&sig=hunter22&code=hunter22#token=hunter22"))
    assert hooks[0].action.url == "https://h/a?sv=1&sig=${HOOK_1_SIG}&code=${HOOK_1_CODE}#token=${HOOK_1_TOKEN}"


def test_secrets_in_a_url_are_not_taken_over() -> None:
    hooks, notes = hooks_from_geti(action(url="https://me:hunter22@h:8/a?site=3&api%20key=hunter22&x=${SITE}#end"))
    assert hooks[0].action.url == "https://${HOOK_1_LOGIN}@h:8/a?site=3&api%20key=${HOOK_1_API_KEY}&x=${SITE}#end"
    assert [note.partition(". ")[0][-19:] for note in notes] == ["riable HOOK_1_LOGIN", "able HOOK_1_API_KEY"]


def test_two_secrets_never_share_a_variable() -> None:
    hooks, notes = hooks_from_geti(action(url="http://h/?token=a&token=b", headers={"Token": "c"}))
    assert hooks[0].action.url == "http://h/?token=${HOOK_1_TOKEN}&token=${HOOK_1_TOKEN_2}"
    assert hooks[0].action.headers == {"Token": "${HOOK_1_TOKEN_2_2}"}
    assert len(notes) == 3


words = st.text(st.sampled_from("abK?%20+ {}[]:/@.;é"), max_size=8)


@given(words, words, words)
def test_a_parameter_that_is_called_like_a_secret_is_not_taken_over(name: str, value: str, rest: str) -> None:
    hooks, notes = hooks_from_geti(action(url=f"http://h/?a=b&{name}token{rest}={value}hunter22&{rest}"))
    assert "hunter22" not in hooks[0].action.url
    assert len(notes) == 1


def test_the_token_of_a_collection_is_not_taken_over() -> None:
    session = {"host": "https://geti.example", "token": "hunter22", "has_valid_certificate": True, "proxies": None}
    hooks, notes = hooks_from_geti(collection(session, workspace_id="1", dataset="New", log_level="info"))
    made = hooks[0].action
    assert (made.project, made.dataset, made.host) == ("Dogs", "New", "https://geti.example")
    assert (made.workspace_id, made.verify_certificate, made.log_level) == ("1", True, "info")
    assert made.token_variable == "GETI_TOKEN"
    assert notes == (
        "hook 1: the token of its GetiDataCollection is not taken over: put a personal access token of Geti into the"
        " environment variable GETI_TOKEN. It stands in the file as plain text: remove it there",
    )


def test_what_else_its_session_says_is_told() -> None:
    session = {"host": "https://h", "username": "me", "password": "hunter22", "has_valid_certificate": False, "proxies": {"https": "http://me:hunter22@p"}}  # fmt: skip
    hooks, notes = hooks_from_geti(collection(session))
    assert hooks[0].action.verify_certificate is False
    assert "hunter22" not in f"{hooks} {notes}"
    assert notes[0].startswith("hook 1: the password of its GetiDataCollection is not taken over")
    assert notes[1].endswith("set the environment variable GETI_HTTPS_PROXY")
    assert "does not verify the certificate" in notes[2]


def test_a_file_of_geti_sdk_is_read_like_one_of_ours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "hook_config.json"
    path.write_text(WRITTEN)
    assert load_hooks(path) == hooks_from_geti(json.loads(WRITTEN)).hooks
    assert caplog.messages == []
    path.write_text(json.dumps(action(headers=HEADERS)))
    [hook] = load_hooks(path)
    assert hook.action.headers["Authorization"] == "Bearer ${HOOK_1_AUTHORIZATION}"
    assert [message.startswith(f"{path}: hook 1: the secret in the header") for message in caplog.messages] == [
        True
    ] * 3
    path.write_text(json.dumps(config(max_threads=-1)))
    with pytest.raises(
        SpecError, match=rf"^{path}: \$\.post_inference_hooks\[0\]\.PostInferenceHook\.max_threads: Exp"
    ):
        load_hooks(path)


ACME = """
import msgspec
class Acme(msgspec.Struct, frozen=True, tag=True):
    level: int = 1
    async def __call__(self, event): ...
"""


def test_a_custom_action_is_found_by_its_entry_point(tmp_path: Path) -> None:
    with installed(tmp_path, "acme_geti", ACME, "[aiohooks.actions]\nAcme = acme_geti:Acme\n"):
        made = read(action={"Acme": {"level": 3}}).action
    assert (type(made).__module__, made.level) == ("acme_geti", 3)


names = st.lists(st.text(min_size=1), min_size=1, max_size=3)
expressible = st.builds(
    PostInferenceHook,
    trigger=st.one_of(
        st.just(AlwaysTrigger()),
        st.just(EmptyLabelTrigger()),
        st.builds(LabelTrigger, names, st.sampled_from(["OR", "AND"])),  # type: ignore[arg-type]
        st.builds(ConfidenceTrigger, st.floats(0, 1), st.none() | names),
        st.builds(ObjectCountTrigger, st.integers(0, 9), st.none() | names, st.sampled_from(["greater", "lower", "equal"])),  # type: ignore[arg-type]
    ),
    action=st.one_of(
        st.builds(FileSystemDataCollection, st.text(min_size=1), st.text(), st.booleans(), st.booleans(), st.booleans(), log_level=st.sampled_from(["debug", "info"])),  # type: ignore[arg-type]
        st.builds(HttpRequestAction, st.just("http://h/a?b=c"), st.sampled_from(["GET", "PUT", "DELETE"]), st.none() | st.just({"X-Site": "1"}), log_level=st.sampled_from(["debug", "info"])),  # type: ignore[arg-type]
        st.builds(HttpRequestAction, st.just("http://h/"), st.just("POST"), st.none(), st.booleans()),
    ),
    max_concurrency=st.integers(1, 99),
    max_pending=st.integers(1, 99),
    rate=st.none() | st.builds(Rate, st.integers(1, 99), st.just(1.0)),
)  # fmt: skip


@given(st.lists(expressible, max_size=3))
def test_what_geti_sdk_can_have_comes_back_as_it_was(hooks: list[PostInferenceHook]) -> None:
    data, left_out = hooks_to_geti(hooks)
    assert left_out == ()
    assert hooks_from_geti(json.loads(json.dumps(data))) == (tuple(hooks), ())


@given(st.integers(1, 2**53), st.floats(1e-300, 1e300))
def test_rates_come_back_to_the_last_digits(count: int, per: float) -> None:
    hook = PostInferenceHook(trigger=AlwaysTrigger(), action=FileSystemDataCollection("a"), rate=Rate(count, per))
    data, left_out = hooks_to_geti([hook])
    if not left_out:
        [back] = hooks_from_geti(data).hooks
        assert back.rate.per / back.rate.count == pytest.approx(per / count, rel=1e-12)


def test_every_keyword_is_written_as_geti_sdk_does() -> None:
    hook = PostInferenceHook(
        trigger=ConfidenceTrigger(0.7, ["red"]),
        action=FileSystemDataCollection("kept", "cam1_"),
        name="unsure",
        max_concurrency=3,
        rate=Rate(1, per=0.5),
    )
    expected = json.loads(WRITTEN)
    expected["post_inference_hooks"][0]["PostInferenceHook"]["queue_limit"] = 64
    data, left_out = hooks_to_geti([hook])
    assert (json.loads(json.dumps(data)), left_out) == (expected, ())


async def dark(frame: object, prediction: object) -> bool:
    return True


def http(url: str = "http://h/", *args: Any, **fields: Any) -> HttpRequestAction:
    return HttpRequestAction(url, *args, **fields)


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        ({"overflow": "drop_oldest"}, "geti-sdk has no overflow"),
        ({"timeout": 5.0}, "geti-sdk has no timeout"),
        ({"max_pending_bytes": 10}, "geti-sdk has no max_pending_bytes"),
        ({"rate": Rate(1, burst=2)}, "geti-sdk's rate has no burst"),
        ({"rate": Rate(2**53, 1e-300)}, "geti-sdk has no such rate"),
        ({"trigger": ~AlwaysTrigger()}, "geti-sdk has no combinations of triggers"),
        ({"trigger": AlwaysTrigger() & EmptyLabelTrigger()}, "geti-sdk has no combinations of triggers"),
        ({"trigger": AlwaysTrigger() | EmptyLabelTrigger()}, "geti-sdk has no combinations of triggers"),
        ({"trigger": dark}, "geti-sdk has no dark"),
        ({"action": dark}, "geti-sdk has no dark"),
        ({"action": LogAction()}, "geti-sdk has no LogAction"),
        ({"action": GetiDataCollection("Dogs")}, "geti-sdk's GetiDataCollection needs a token in the file, and secrets are never written"),
        ({"action": FileSystemDataCollection("a", image_format="jpeg")}, "geti-sdk's FileSystemDataCollection has no image_format"),
        ({"action": FileSystemDataCollection("a", log_level="error")}, "geti-sdk has no log_level 'error'"),
        ({"action": http(log_level="warning")}, "geti-sdk has no log_level 'warning'"),
        ({"action": http(timeout=1)}, "geti-sdk's HttpRequestAction has no timeout"),
        ({"action": http(include_image="multipart")}, "geti-sdk's HttpRequestAction has no include_image"),
        ({"action": http("http://${LOGIN}@h/")}, "its HttpRequestAction names an environment variable, which geti-sdk does not look up"),
        ({"action": http(headers={"A": "b", "Authorization": "Bearer ${T}"})}, "its HttpRequestAction names an environment variable, which geti-sdk does not look up"),
        ({"action": http("http://h/", "PUT", include_prediction_data=True)}, "geti-sdk sends predictions only with POST"),
    ],
)  # fmt: skip
def test_what_geti_sdk_cannot_have_is_left_out_with_the_reason(hook: Any, reason: str) -> None:
    kept = PostInferenceHook(trigger=AlwaysTrigger(), action=FileSystemDataCollection("kept"))
    fields: dict[str, Any] = {"trigger": AlwaysTrigger(), "action": FileSystemDataCollection("a"), "name": "mine"}
    data, left_out = hooks_to_geti([PostInferenceHook(**fields | hook), kept])
    assert left_out == (("mine", reason),)
    assert hooks_from_geti(data).hooks == (kept,)
