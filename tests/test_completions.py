"""What foreign threads tell reaches the loop: every slot once, whichever way it goes."""

import asyncio
import threading
from collections import Counter

import anyio
import pytest

from aiohooks.completions import MOST_BITS, Completions, EventFd, Threadsafe, listen

pytestmark = pytest.mark.anyio

WAYS = [EventFd, Threadsafe]


@pytest.mark.parametrize("way", WAYS)
async def test_every_slot_that_is_told_of_is_heard_once(way: type[EventFd] | type[Threadsafe]) -> None:
    heard: Counter[int] = Counter()
    completions: Completions = way(asyncio.get_running_loop(), lambda slot: heard.update([slot]))
    told = [completions.teller(slot) for slot in range(MOST_BITS)]

    def tell() -> None:
        threads = [threading.Thread(target=function, args=(argument,)) for function, argument in told]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for _ in range(20):
        await anyio.to_thread.run_sync(tell)
        while sum(heard.values()) % MOST_BITS:
            await anyio.lowlevel.checkpoint()
    completions.close()
    assert heard == dict.fromkeys(range(MOST_BITS), 20)


@pytest.mark.parametrize("way", WAYS)
def test_telling_a_closed_loop_does_not_raise(way: type[EventFd] | type[Threadsafe]) -> None:
    loop = asyncio.new_event_loop()
    completions = way(loop, lambda slot: None)
    function, argument = completions.teller(0)
    loop.close()
    function(argument)
    completions.close()


async def test_a_closed_one_hears_nothing() -> None:
    heard: list[int] = []
    completions = EventFd(asyncio.get_running_loop(), heard.append)
    function, argument = completions.teller(3)
    function(argument)
    completions.close()
    await anyio.lowlevel.checkpoint()
    assert heard == []


async def test_the_way_is_chosen_by_the_number_of_slots() -> None:
    loop = asyncio.get_running_loop()
    few, many = listen(loop, MOST_BITS, print), listen(loop, MOST_BITS + 1, print)
    assert (type(few), type(many)) == (EventFd, Threadsafe)
    few.close()
    many.close()
