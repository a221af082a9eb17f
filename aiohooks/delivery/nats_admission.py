"""Whether and when an item comes into a queue on NATS: what happens where there is no room, or no server."""

import contextlib
from collections import Counter
from functools import partial

import anyio
from nats.aio.msg import Msg
from nats.js.errors import APIError

from aiohooks.delivery.nats_connection import Connection, pause
from aiohooks.delivery.nats_queue import Queue
from aiohooks.delivery.nats_stream import MayBeStoredError, Stored
from aiohooks.delivery.policies import Full
from aiohooks.errors import DeliveryError

_LOOK = 1.0
"""Seconds to look for an item of which it is not known whether it was stored."""


class NatsAdmission:
    """Stores items as soon as there is room, or does what ``full`` says if there is none.

    Args:
        connection: to the servers.
        queue: takes the items.
        name: of the spool, for messages.
        max_bytes: of the queue.
        full: what to do without room.
        timeout: seconds for a server to answer, unless that is to block.
        lost: where losses are counted, by reason.
    """

    def __init__(
        self,
        connection: Connection,
        queue: Queue,
        *,
        name: str,
        max_bytes: int,
        full: Full,
        timeout: float,
        lost: Counter[str],
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._name = name
        self._max_bytes = max_bytes
        self._full: Full = full
        self._timeout = timeout
        self._lost = lost
        self._room_subject = f"aiohooks.{queue.name}.room"
        self._room = anyio.Event()
        self._heard_of_room = 0  # the opening of the connection in which it is told
        self.waiting = anyio.Lock()

    async def tell_of_room(self) -> None:
        """Tell all that wait for room, in other processes too, that there is some."""
        await self._connection.tell(self._room_subject)

    async def store(self, key: str, body: bytes) -> Stored:
        """Store an item; `Stored.FULL` if it was dropped, and counted.

        Raises:
            DeliveryError: the spool is full, or no server answers, and it raises then; the item can never fit; or it is closed.
        """
        if self._queue.room_for(len(body)) > self._max_bytes:
            raise DeliveryError(
                f"an item of {len(body):,} bytes does not fit into {self._name}: NatsSpool.max_bytes is "
                f"{self._max_bytes:,}"
            )
        full = self._full
        drops = full in ("drop_newest", "drop_oldest")
        try:
            stored = await self._queue.store(key, body, id=key, patience=None if full == "block" else self._timeout)
            if stored is Stored.FULL and full == "block":
                stored = await self._store_when_there_is_room(key, body)
            elif stored is Stored.FULL and full == "drop_oldest":
                stored = await self._store_in_place_of_older(key, body)
        except DeliveryError as error:
            if not drops or self._connection.closed:
                raise
            may_be_stored = isinstance(error, MayBeStoredError)
            if not (may_be_stored and await self._is_there(key)):
                # What may be stored can have been delivered by now.
                self._lost["unknown" if may_be_stored else "no answer"] += 1
                return Stored.FULL
            stored = Stored.STORED
        if stored is Stored.FULL:
            if not drops:
                raise DeliveryError(
                    f"{self._name} is full: workers do not keep up, or NatsSpool.max_bytes is too small"
                )
            self._lost["full"] += 1
        return stored

    async def _store_when_there_is_room(self, key: str, body: bytes) -> Stored:
        async with self.waiting:  # one asks on behalf of all
            opened = self._connection.opened
            if self._heard_of_room != opened:
                await self._connection.ask(
                    partial(self._connection.client.subscribe, self._room_subject, cb=self._on_room)
                )
                self._heard_of_room = opened
            retries = 0
            while True:
                room = self._room  # before asking, so that no news is missed
                stored = await self._queue.store(key, body, id=key, patience=None)
                if stored is not Stored.FULL:
                    return stored
                # News can get lost, and may arrive before the server has made the room.
                with anyio.move_on_after(pause(retries)) as waited:
                    await room.wait()
                retries = retries + 1 if waited.cancelled_caught else 0

    async def _store_in_place_of_older(self, key: str, body: bytes) -> Stored:
        """Drop the oldest items that are in nobody's hands for as long as there is no room.

        Raises:
            DeliveryError: no server answers.
        """
        stored = Stored.FULL
        with anyio.move_on_after(self._timeout) as waited:
            async with self.waiting:  # else everybody would make room for himself
                while stored is Stored.FULL:
                    stored = await self._queue.store(key, body, id=key, patience=None)
                    if stored is Stored.FULL and not await self.drop_oldest(self._queue.room_for(len(body))):
                        break
        if waited.cancelled_caught:
            raise DeliveryError(f"{self._name} has made no room within {self._timeout:g} s")
        return stored

    async def drop_oldest(self, nbytes: int) -> bool:
        """Drop items of that many bytes, as far as there are any; returns whether there was one."""
        dropped = 0
        while dropped < nbytes:
            letter = await self._queue.take(wait=False)
            if letter is None:
                break
            try:
                await self._queue.remove(letter)
            except BaseException:
                with anyio.move_on_after(1, shield=True):
                    await self._queue.give_back(letter)
                    if not await self._queue.keeps(letter):
                        self._lost["dropped_oldest"] += 1
                raise
            self._lost["dropped_oldest"] += 1
            dropped += self._queue.room_for(letter.nbytes)
        return dropped > 0

    async def _is_there(self, key: str) -> bool:
        """Tell whether an item is seen to be there."""
        with anyio.move_on_after(_LOOK), contextlib.suppress(DeliveryError, APIError):
            return await self._queue.find(key) is not None
        return False

    async def _on_room(self, _: Msg) -> None:
        self._room.set()
        self._room = anyio.Event()
