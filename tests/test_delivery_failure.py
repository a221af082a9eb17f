"""Which failures are tried again."""

import aiohttp
import pytest

from aiohooks.delivery.failure import failure_of, passes_later
from aiohooks.errors import ActionError, DeliveryError, RemoteError, SessionError, SpecError


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 599])
def test_statuses_of_a_server_in_trouble_may_pass(status: int) -> None:
    assert passes_later(status)
    assert failure_of(RemoteError("", status=status)).may_pass
    assert failure_of(ActionError("", status=status, may_pass=False)).may_pass


@pytest.mark.parametrize("status", [301, 304, 400, 401, 403, 404, 409, 413, 415, 422, 600])
def test_statuses_that_will_stay_do_not(status: int) -> None:
    assert not passes_later(status)
    assert not failure_of(RemoteError("", status=status)).may_pass
    assert not failure_of(ActionError("", status=status, may_pass=True)).may_pass


@pytest.mark.parametrize(
    ("error", "may_pass"),
    [
        (ActionError("no answer", may_pass=True), True),
        (ActionError("not a picture"), False),
        (SessionError("cannot be reached", may_pass=True), True),
        (SessionError("no such project"), False),
        (SpecError("no token"), True),
        (DeliveryError("not an event"), False),
        (TimeoutError(), True),
        (ConnectionResetError("reset"), True),
        (OSError(28, "no space"), True),
        (aiohttp.ServerDisconnectedError(), True),
        (aiohttp.ClientPayloadError("cut off"), True),
        (aiohttp.InvalidURL("x"), False),
        (ValueError("bug"), False),
        (Unprintable(), False),
    ],
)
def test_other_errors(error: Exception, may_pass: bool) -> None:
    assert failure_of(error).may_pass is may_pass


def test_the_reason_is_one_short_line() -> None:
    assert failure_of(ActionError("POST http://a/: the server\nanswered\x1b 500")).reason == (
        "ActionError: POST http://a/: the server answered? 500"
    )
    assert failure_of(TimeoutError()).reason == "TimeoutError"
    assert failure_of(Unprintable()).reason == "Unprintable"
    assert len(failure_of(ValueError("x" * 5000)).reason) == 300


def test_a_pause_that_the_server_asks_for_is_kept() -> None:
    assert failure_of(RemoteError("", status=429, retry_after=7)).retry_after == 7
    assert failure_of(ActionError("", status=503, retry_after=0.0)).retry_after == 0
    assert failure_of(RemoteError("", status=503)).retry_after == 0
