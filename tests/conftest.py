import gc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from aiohooks.delivery import recent
from aiohooks.one_thread import OneThread

# How quick an example is says more of the machine than of the code.
settings.register_profile("patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return request.param


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual time does not wait for threads."""

    async def run(_: OneThread, function: Callable[..., Any], /, *args: Any) -> Any:
        return function(*args)

    monkeypatch.setattr(OneThread, "run", run)


@pytest.fixture
def from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spools keep nothing in memory."""
    monkeypatch.setattr(recent, "MOST_BYTES", 0)


def pytest_collection_finish() -> None:
    """What was imported stays; the collector would look at all of it again and again, half a second each time."""
    gc.collect()
    gc.freeze()
