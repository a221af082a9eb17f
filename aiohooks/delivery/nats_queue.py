"""A queue in a stream of JetStream: messages of any size, each taken by one worker at a time, kept until that is done with it."""

import contextlib
import itertools
import json
import logging
from functools import partial
from typing import Any

import anyio
from nats.errors import Error
from nats.js.errors import APIError

from aiohooks.delivery.nats_call import outcome_of
from aiohooks.delivery.nats_chunks import Chunks
from aiohooks.delivery.nats_connection import Connection, NoAnswer, TooLate, logger, pause
from aiohooks.delivery.nats_letter import Letter, headers, headers_of_chunks, taken
from aiohooks.delivery.nats_stream import PATIENCE, State, Stored, WorkStream
from aiohooks.errors import DeliveryError

_PULL = 5.0
"""Seconds for which the server keeps a taker waiting before it is asked again."""

_GLANCE = 0.5
"""Seconds for which the server keeps a taker that does not want to wait: a queue with something in it answers at once."""

_CONFIRM = 2.0
"""Seconds in which a server confirms what becomes of a message, if it knows who has it."""


class Queue:
    """One work-queue stream and its consumer.

    A message has a subject of its own, named by its key, of which the stream holds at most one: while it waits, it cannot be stored
    twice. What is larger than a message may be is cut into chunks, stored before the message that stands for them.

    Args:
        connection: open, or about to be.
        stream: keeps the messages.
    """

    def __init__(self, connection: Connection, stream: WorkStream) -> None:
        self.name = stream.name
        self._connection = connection
        self._stream = stream
        self._chunks = Chunks(connection, self._stream)
        self._idle: list[tuple[int, Any]] = []  # subscriptions, with the opening of the connection that they are of
        self._checked = -1

    @property
    def ack_wait(self) -> float:
        """Seconds after which a message is given to another taker, as the server has it."""
        return self._stream.ack_wait

    async def prepare(self) -> None:
        """Make the stream and the consumer, or take them as they are.

        Raises:
            DeliveryError: the server refuses, or what is there is no such queue.
        """
        await self._stream.prepare()

    async def store(self, key: str, body: bytes, *, id: str, patience: float | None, ends: int = 0) -> Stored:
        """Store a message, once: a duplicate if there is another of that key, or there was one of that id.

        Args:
            key: names it, as part of a subject.
            body: of any size.
            id: by which it is recognised when it is sent again, even if it is taken and done with by now.
            patience: seconds to wait for the server; None for ever.
            ends: kept with it, see `Letter`.

        Raises:
            DeliveryError: no answer in that time, or the server refuses.
            MayBeStoredError: it was asked, and has not answered in that time.
        """
        subject, about = self._stream.item(key), headers(id, ends)
        if len(body) <= self._chunks.largest_message:
            return await self._stream.publish(subject, body, about, patience)
        parts = self._chunks.new_parts(key)
        number = await self._chunks.store(parts, body, patience)
        if number is None:
            return Stored.DUPLICATE if await self._chunks.forget_orphan(parts) else Stored.FULL
        about |= headers_of_chunks(number, parts, len(body))
        stored = await self._stream.publish(subject, b"", about, patience)
        if stored is not Stored.STORED and await self._chunks.forget_orphan(parts):
            return Stored.DUPLICATE
        return stored

    def room_for(self, nbytes: int) -> int:
        """Return the bytes that a body of that size takes in the stream, at most."""
        return self._chunks.room_for(nbytes)

    async def take(self, *, wait: bool = True) -> Letter | None:
        """Wait for a message and take it; without waiting, None if there is none.

        Raises:
            DeliveryError: the connection is closed.
        """
        opened, pulls = await self._idle_or_new()
        retries = 0
        arrived: list[Any] = []

        async def fetch() -> None:
            arrived.extend(await pulls.fetch(1, timeout=_PULL if wait else _GLANCE))

        try:
            while True:
                await self._connection.connected()
                if opened != self._connection.opened:
                    opened, pulls = await self._idle_or_new()
                    continue
                try:
                    await self._connection.once(fetch)
                    letter = taken(arrived[0])
                    break
                except TooLate:
                    retries = 0
                    if self._checked != self._connection.reconnects:
                        reconnects = self._connection.reconnects
                        if await self.revive():
                            self._checked = reconnects
                    if not wait:
                        letter = None
                        break
                except NoAnswer as silence:
                    if arrived:  # just before the connection was lost
                        letter = taken(arrived[0])
                        break
                    logger.log(logging.WARNING if retries == 0 else logging.DEBUG, "NATS: %s; asking again", silence)
                    await anyio.sleep(pause(retries))
                    retries += 1
        except BaseException:
            # Else the server would hand a message to somebody who no longer waits.
            with anyio.move_on_after(1, shield=True):
                await self._drop(pulls)
                for message in arrived:
                    await self.give_back(taken(message))
            raise
        self._idle.append((opened, pulls))
        return letter

    async def body(self, letter: Letter) -> bytes | None:
        """Return the body of a message; None if its chunks are gone."""
        return await self._chunks.body(letter)

    async def find(self, key: str) -> Letter | None:
        """Return the message of that key, taken or not, without taking it; None if there is none."""
        return await self._stream.find(key)

    async def keeps(self, letter: Letter) -> bool:
        """Tell whether a message is there still, not one that has come in its place."""
        found = await self.find(letter.key)
        return found is not None and found.sequence == letter.sequence

    async def remove(self, letter: Letter) -> None:
        """Say that a message that was taken is done with.

        Raises:
            DeliveryError: the server does not confirm it; the message will come back.
        """
        if await self._answer(letter, b"+ACK"):
            await self._chunks.forget(letter)
        else:
            # A server that was killed forgets who has taken what.
            await self.delete(letter)

    async def delete(self, letter: Letter) -> None:
        """Delete a message, whoever has it; never one that has come in its place."""
        refusal = None
        try:
            await self._stream.delete(letter.sequence)
        except APIError as error:
            refusal = error
        if refusal is not None and await self.keeps(letter):  # else somebody was quicker
            raise DeliveryError(f"NATS does not delete {letter.key}: {refusal.description}") from refusal
        await self._chunks.forget(letter)

    async def put_back(self, letter: Letter, delay: float) -> None:
        """Have a message that was taken come back after so many seconds, or at once if the server has forgotten that it was taken."""
        await self._answer(
            letter, b"-NAK " + json.dumps({"delay": int(delay * 1e9)}).encode() if delay > 0 else b"-NAK"
        )

    async def extend(self, letter: Letter) -> None:
        """Say that a message that was taken is still being worked on."""
        await self._connection.tell(letter.reply, b"+WPI")

    async def give_back(self, letter: Letter) -> None:
        """Put a message back without waiting for the answer: if that gets lost, it comes back after `ack_wait`."""
        await self._connection.tell(letter.reply, b"-NAK")

    async def look(self, after: int) -> Letter | None:
        """Return the first message after that sequence number, without taking it; None if there is none."""
        return await self._stream.first_after(after)

    async def purge(self) -> int:
        """Forget everything; returns the number of messages that are gone, those in somebody's hands among them."""
        state = await self.state()
        await self._stream.purge()
        return state.ready + state.taken

    async def state(self) -> State:
        """Return what is in the queue."""
        return await self._stream.state()

    async def revive(self) -> bool:
        """Have given out again what the server keeps but takes for done with, as one that was killed can; only while nobody has anything.

        Returns:
            Whether that was looked for.
        """
        consumer = await self._stream.consumer()
        if consumer.num_pending or consumer.num_ack_pending:
            return False
        first = await self.look(0)
        if first is None:
            return True
        if first.sequence > consumer.delivered.stream_seq:
            return False  # it was put meanwhile
        logger.warning("NATS: the server has forgotten to give out items of %s; they are given out again", self.name)
        await self._stream.remake_consumer()
        return True

    async def sweep(self) -> None:
        """Forget chunks without a message, left by somebody who was stopped while storing one; not those of the last hour."""
        await self._chunks.sweep()

    async def _idle_or_new(self) -> tuple[int, Any]:
        while self._idle:
            opened, pulls = self._idle.pop()
            if opened == self._connection.opened:
                return opened, pulls
        opened = self._connection.opened
        return opened, await self._stream.subscribe()

    async def _drop(self, pulls: Any) -> None:
        with contextlib.suppress(Error):  # of a connection that is no more
            await outcome_of(pulls.unsubscribe)

    async def _answer(self, letter: Letter, what: bytes) -> bool:
        """Tell the server what becomes of a message; returns whether it knows that we have it."""
        call = partial(self._connection.client.request, letter.reply, what, timeout=_CONFIRM)
        try:
            with anyio.fail_after(PATIENCE):
                for retries in itertools.count():
                    await self._connection.connected()
                    try:
                        await self._connection.once(call)
                    except TooLate:  # it is there, and says nothing
                        return False
                    except NoAnswer:
                        await anyio.sleep(pause(retries))
                        continue
                    break
        except TimeoutError:
            raise DeliveryError(f"NATS did not confirm what becomes of {letter.key} within {PATIENCE:g} s") from None
        return True
