"""When a client asks again."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.backoff import REFUSED_STATUSES, RETRYABLE_STATUSES, Backoff, retry_after

NOW = datetime(2025, 1, 31, 12, 0, 0, tzinfo=UTC)
jitter = st.floats(0, 1)
backoffs = st.builds(Backoff, st.floats(1e-3, 10), st.floats(10, 100))


@given(backoffs, st.integers(0, 10_000), jitter)
def test_a_pause_is_at_least_half_of_what_is_due_and_never_above_the_most(
    backoff: Backoff, retries: int, jitter: float
) -> None:
    pause, due = backoff.seconds(retries, jitter), min(backoff.most, backoff.first * 2.0 ** min(retries, 64))
    assert due / 2 <= pause <= due <= backoff.most


@given(backoffs, st.integers(0, 100), jitter, jitter)
def test_pauses_grow_and_clients_do_not_return_together(
    backoff: Backoff, retries: int, one: float, other: float
) -> None:
    assert backoff.seconds(retries + 1, one) >= backoff.seconds(retries, one)
    assert (backoff.seconds(retries, one) < backoff.seconds(retries, other)) == (one < other) or abs(one - other) < 1e-9


@given(st.integers(0, 10**9))
def test_retry_after_in_seconds(seconds: int) -> None:
    assert retry_after(f" {seconds} ", NOW) == seconds


@given(st.timedeltas(-timedelta(days=1000), timedelta(days=1000)))
def test_retry_after_as_a_date(ahead: timedelta) -> None:
    wait = retry_after(format_datetime(NOW + ahead, usegmt=True), NOW)
    assert wait is not None
    assert abs(wait - max(0.0, ahead.total_seconds())) <= 1


@given(st.text())
def test_nonsense_in_retry_after_is_no_wait_at_all(text: str) -> None:
    wait = retry_after(text, NOW)
    assert wait is None or 0 <= wait < 1e12


@pytest.mark.parametrize(
    "value", [None, "", "soon", "-1", "1.5", "²", "Fri, 31 Feb 2025 12:00:00 GMT", "9" * 5000 + "x"]
)
def test_what_says_nothing_is_ignored(value: str | None) -> None:
    assert retry_after(value, NOW) is None


def test_forms_of_dates_that_servers_send() -> None:
    for text in ["Fri, 31 Jan 2025 12:00:09 GMT", "Friday, 31-Jan-25 12:00:09 GMT", "31 Jan 2025 12:00:09 -0000"]:
        assert retry_after(text, NOW) == 9


def test_what_may_be_retried() -> None:
    assert {408, 429, 502, 503, 504} == RETRYABLE_STATUSES
    assert REFUSED_STATUSES < RETRYABLE_STATUSES
