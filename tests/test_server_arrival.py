"""The time that a body has, in virtual time."""

import anyio
import pytest
from virtual_clock import run_virtual

from aiohooks.server.arrival import Arrival
from aiohooks.server.refusal import Refusal


async def after(seconds: float) -> bytes:
    await anyio.sleep(seconds)
    return b"0123456789"


def seconds_until_refused(arrival_of: dict[str, float], *, every: float) -> float:
    """How long a client can go on that sends ten bytes again and again; 1000 if that is all right."""

    async def main() -> float:
        arrival = Arrival(**arrival_of)  # type: ignore[arg-type]
        for _ in range(round(1000 / every)):
            try:
                arrival.came(len(await arrival.wait(after(every))))
            except Refusal as refusal:
                return anyio.current_time() if refusal.status == 408 else 0
        return 1000

    return run_virtual(main)


@pytest.mark.parametrize(
    ("arrival", "every", "expected"),
    [
        ({"seconds": 60}, 1, 60),
        ({"seconds": None}, 500, 1000),
        ({"seconds": None, "patience": 10}, 11, 10),
        ({"seconds": None, "patience": 10}, 9, 1000),
        ({"seconds": 100, "patience": 10}, 9, 100),
        ({"seconds": None, "patience": 10, "rate": 10}, 1, 1000),  # at 10 bytes a second
        ({"seconds": None, "patience": 10, "rate": 10}, 2, 18),  # after 16 s there are 80 bytes, which may take 18 s
        ({"seconds": None, "patience": 10, "rate": 1}, 9, 1000),
    ],
)
def test_a_body_has_so_much_time(arrival: dict[str, float], every: float, expected: float) -> None:
    assert seconds_until_refused(arrival, every=every) == pytest.approx(expected)


def test_what_is_there_needs_no_time() -> None:
    async def main() -> None:
        arrival = Arrival(1)
        await anyio.sleep(2)
        assert await arrival.wait(anyio.lowlevel.cancel_shielded_checkpoint()) is None

    run_virtual(main)
