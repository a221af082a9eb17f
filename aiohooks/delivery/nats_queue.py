"""A queue in a stream of JetStream: messages of any size, each for one taker at a time, kept until it says that it is done with them."""

import contextlib
import enum
import itertools
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar

import anyio
import msgspec
from nats.errors import Error
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from aiohooks.delivery.nats_call import ANSWER, outcome_of
from aiohooks.delivery.nats_connection import NO_ROOM, Connection, NoAnswer, TooLate, logger, pause
from aiohooks.errors import DeliveryError

T = TypeVar("T")

_CHUNK = 256 * 1024
_HEADROOM = 4096
"""Bytes of a message that are left for its headers, ours and those that the server adds."""

_OVERHEAD = 512
"""Bytes that a message takes in a stream beside its body, at most: its subject, headers and record."""

_PULL = 5.0
"""Seconds for which the server keeps a taker waiting before it is asked again."""

_GLANCE = 0.5
"""Seconds for which the server keeps a taker that does not want to wait: a queue with something in it answers at once."""

_CONFIRM = 2.0
"""Seconds in which a server confirms what becomes of a message, if it knows who has it."""

_PATIENCE = 60.0
"""Seconds for which a server that is away is waited for by whoever is not to wait for ever."""

_ORPHANED = timedelta(hours=1)
"""Age of chunks without a message from which on nobody can be about to store it."""

_CONSUMER = "workers"
_STREAM_EXISTS = 10058

_CHUNKS = "Aiohooks-Chunks"
_PARTS = "Aiohooks-Parts"
_NBYTES = "Aiohooks-Bytes"
_ENDS = "Aiohooks-Ends"
_MSG_ID = "Nats-Msg-Id"

_APART = "="
"""Stands between a key, in which it cannot be, and what tells the chunks of one attempt to store it from those of others."""


class Stored(enum.Enum):
    """What became of a message."""

    STORED = enum.auto()
    DUPLICATE = enum.auto()
    FULL = enum.auto()


class Letter(NamedTuple):
    """A message that was taken, or looked at.

    Attributes:
        key: names it.
        sequence: its number in the stream.
        attempt: how often it was taken, from 1; 0 if it was only looked at.
        reply: subject to which its taker answers.
        data: its body, or empty where that is in chunks.
        chunks: number of these.
        parts: what they are named by.
        nbytes: of the body.
        ends: sequence number of the message in another stream that it takes the place of; 0 for none.
    """

    key: str
    sequence: int
    attempt: int
    reply: str
    data: bytes
    chunks: int
    parts: str
    nbytes: int
    ends: int


class State(NamedTuple):
    """What is in a queue.

    Attributes:
        ready: messages that can be taken.
        taken: messages in somebody's hands, or put off by them.
        nbytes: of the stream.
        oldest_seconds: age of the oldest message; None if there is none.
    """

    ready: int
    taken: int
    nbytes: int
    oldest_seconds: float | None


class _StreamState(msgspec.Struct):
    messages: int
    bytes: int
    first_ts: datetime


class _StreamInfo(msgspec.Struct):
    state: _StreamState
    ts: datetime | None = None


class Queue:
    """One work-queue stream and its consumer.

    A message has a subject of its own, named by its key, of which the stream holds at most one: while it waits, it cannot be stored
    twice. What is larger than a message may be is cut into chunks, stored before the message that stands for them.

    Args:
        connection: open, or about to be.
        name: of the stream.
        max_bytes: of the stream, chunks included; what would exceed it is refused.
        replicas: servers that keep it.
        duplicate_window: seconds in which a message with the same id is refused.
        ack_wait: seconds after which a message is given to another taker, unless `extend` is called.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        *,
        max_bytes: int,
        replicas: int,
        duplicate_window: float,
        ack_wait: float,
    ) -> None:
        self.name = name
        self.ack_wait = ack_wait
        self._connection = connection
        self._jetstream = connection.jetstream
        self._subjects = f"aiohooks.{name}"
        self._stream = StreamConfig(
            name=name,
            description="what aiohooks has to deliver",
            subjects=[f"{self._subjects}.item.*", f"{self._subjects}.chunk.*.*"],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
            max_bytes=max_bytes,
            discard=DiscardPolicy.NEW,
            max_msgs_per_subject=1,
            discard_new_per_subject=True,
            duplicate_window=duplicate_window,
            num_replicas=replicas,
            allow_direct=True,
        )
        self._consumer = ConsumerConfig(
            name=_CONSUMER,
            durable_name=_CONSUMER,
            filter_subject=f"{self._subjects}.item.*",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait,
            max_deliver=-1,
            # What a worker puts off counts as taken: it must not keep others from what is ready.
            max_ack_pending=-1,
        )
        self._idle: list[tuple[int, Any]] = []  # subscriptions, with the opening of the connection that they are of
        self._checked = -1

    async def prepare(self) -> None:
        """Make the stream and the consumer, or take them as they are.

        Raises:
            DeliveryError: the server refuses, or what is there is no such queue.
        """
        try:
            await self._ask(self._make_stream)
            await self._ask(self._make_consumer)
        except APIError as error:
            raise DeliveryError(
                f"NATS refuses the stream {self.name!r}: {error.description} ({error.err_code})"
            ) from error

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
        """
        largest = self._largest
        headers = {_MSG_ID: id} | ({_ENDS: str(ends)} if ends else {})
        if len(body) <= largest:
            return await self._publish(self._item(key), body, headers, patience)
        size = min(_CHUNK, largest)
        chunks = [body[start : start + size] for start in range(0, len(body), size)]
        # Whoever stores the same at the same time, or was stopped while storing it, has chunks of his own.
        parts = f"{key}{_APART}{secrets.token_hex(8)}"
        if not await self._store_chunks(parts, chunks, patience):
            return Stored.DUPLICATE if await self._forget_orphan(parts) else Stored.FULL
        headers |= {_CHUNKS: str(len(chunks)), _PARTS: parts, _NBYTES: str(len(body))}
        stored = await self._publish(self._item(key), b"", headers, patience)
        if stored is not Stored.STORED and await self._forget_orphan(parts):
            return Stored.DUPLICATE
        return stored

    def room_for(self, nbytes: int) -> int:
        """Return the bytes that a body of that size takes in the stream, at most."""
        return nbytes + _OVERHEAD * (2 + nbytes // min(_CHUNK, self._largest))

    @property
    def _largest(self) -> int:
        return int(self._connection.client.max_payload) - _HEADROOM

    async def _store_chunks(self, parts: str, chunks: list[bytes], patience: float | None) -> bool:
        """Store a part of a message; False if there is no room: then others wait for what we have taken of it, as we do for theirs."""
        try:
            for number, chunk in enumerate(chunks):
                subject = f"{self._subjects}.chunk.{parts}.{number}"
                if await self._publish(subject, chunk, None, patience) is Stored.FULL:
                    return False
        except BaseException:
            with contextlib.suppress(DeliveryError, APIError):
                await self._forget_orphan(parts)  # noqa: ASYNC102  # shielded there
            raise
        return True

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
                    letter = _taken(arrived[0])
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
                    logger.log(logging.WARNING if retries == 0 else logging.DEBUG, "NATS: %s; asking again", silence)
                    await anyio.sleep(pause(retries))
                    retries += 1
        except BaseException:
            # Else the server would hand a message to somebody who no longer waits.
            with anyio.move_on_after(1, shield=True):
                await self._drop(pulls)
                for message in arrived:
                    await self.give_back(_taken(message))
            raise
        self._idle.append((opened, pulls))
        return letter

    async def body(self, letter: Letter) -> bytes | None:
        """Return the body of a message; None if its chunks are gone."""
        if not letter.chunks:
            return letter.data
        chunks = []
        for number in range(letter.chunks):
            subject = f"{self._subjects}.chunk.{letter.parts}.{number}"
            message = await self._message(subject, direct=True) or await self._message(subject)
            if message is None:
                return None
            chunks.append(message.data or b"")
        body = b"".join(chunks)
        return body if len(body) == letter.nbytes else None

    async def find(self, key: str) -> Letter | None:
        """Return the message of that key, taken or not, without taking it; None if there is none."""
        message = await self._message(self._item(key))
        return None if message is None else _seen(message)

    async def keeps(self, letter: Letter) -> bool:
        """Tell whether a message is there still, not one that has come in its place."""
        found = await self.find(letter.key)
        return found is not None and found.sequence == letter.sequence

    async def remove(self, letter: Letter) -> None:
        """Say that a message that was taken is done with.

        Raises:
            DeliveryError: the server does not confirm it; the message will come back.
        """
        if not await self._answer(letter, b"+ACK"):
            # A server that was killed forgets who has taken what.
            await self.delete(letter)
        elif letter.chunks:
            await self._purge(letter.parts)

    async def delete(self, letter: Letter) -> None:
        """Delete a message, whoever has it; never one that has come in its place."""
        refusal = None
        try:
            await self._ask(partial(self._jetstream.delete_msg, self.name, letter.sequence))
        except APIError as error:
            refusal = error
        if refusal is not None and await self.keeps(letter):  # else somebody was quicker
            raise DeliveryError(f"NATS does not delete {letter.key}: {refusal.description}") from refusal
        if letter.chunks:
            await self._purge(letter.parts)

    async def put_back(self, letter: Letter, delay: float) -> None:
        """Have a message that was taken come back after so many seconds, or at once if the server has forgotten that it was taken."""
        await self._answer(
            letter, b"-NAK " + json.dumps({"delay": int(delay * 1e9)}).encode() if delay > 0 else b"-NAK"
        )

    async def extend(self, letter: Letter) -> None:
        """Say that a message that was taken is still being worked on."""
        await self._connection.tell(letter.reply, b"+WPI")

    async def give_back(self, letter: Letter) -> None:
        """Put a message back without waiting for the answer: if that gets lost, it comes back after ``ack_wait``."""
        await self._connection.tell(letter.reply, b"-NAK")

    async def look(self, after: int) -> Letter | None:
        """Return the first message behind that sequence number, without taking it; None if there is none."""
        call = partial(self._jetstream.get_msg, self.name, seq=after + 1, subject=f"{self._subjects}.item.*", next=True)
        try:
            found = await self._ask(call)
        except NotFoundError:
            return None
        return _seen(found)

    async def purge(self) -> int:
        """Forget everything; returns the number of messages that are gone, those in somebody's hands among them."""
        state = await self.state()
        await self._ask(partial(self._jetstream.purge_stream, self.name))
        return state.ready + state.taken

    async def state(self) -> State:
        """Return what is in the queue."""
        consumer = await self._ask(self._make_consumer)
        answer = await self._ask(
            partial(self._connection.client.request, f"$JS.API.STREAM.INFO.{self.name}", timeout=ANSWER)
        )
        info = msgspec.json.decode(answer.data, type=_StreamInfo)
        # Both by the server's clock.
        age = ((info.ts or datetime.now(UTC)) - info.state.first_ts).total_seconds() if info.state.messages else None
        return State(
            consumer.num_pending or 0,
            consumer.num_ack_pending or 0,
            info.state.bytes,
            None if age is None else max(0.0, age),
        )

    async def revive(self) -> bool:
        """Have given out again what the server keeps but takes for done with, as one that was killed can; only while nobody has anything.

        Returns:
            Whether that was looked for.
        """
        consumer = await self._ask(self._make_consumer)
        if consumer.num_pending or consumer.num_ack_pending:
            return False
        first = await self.look(0)
        if first is None:
            return True
        if first.sequence > consumer.delivered.stream_seq:
            return False  # it was put meanwhile
        logger.warning("NATS: the server has forgotten to give out items of %s; they are given out again", self.name)
        with contextlib.suppress(NotFoundError):  # somebody else saw it too
            await self._ask(partial(self._jetstream.delete_consumer, self.name, _CONSUMER))
        await self._ask(self._make_consumer)
        return True

    async def sweep(self) -> None:
        """Forget chunks without a message, left by somebody who was stopped while storing one; not those of the last hour."""
        info = await self._ask(
            partial(self._jetstream.stream_info, self.name, subjects_filter=f"{self._subjects}.chunk.*.*")
        )
        first_of = {subject.split(".")[-2]: subject for subject in info.state.subjects or {}}
        for parts, subject in first_of.items():
            message = await self._message(subject)
            if message is not None and datetime.now(UTC) - message.time > _ORPHANED:
                await self._forget_orphan(parts)

    async def _make_stream(self) -> None:
        try:
            found = await self._jetstream.stream_info(self.name)
        except NotFoundError:
            try:
                found = await self._jetstream.add_stream(self._stream)
            except APIError as error:
                if error.err_code != _STREAM_EXISTS:
                    raise
                found = await self._jetstream.stream_info(self.name)  # somebody else was quicker
        self._check(found.config)

    def _check(self, found: StreamConfig) -> None:
        wanted = self._stream
        for what in (
            "retention",
            "discard",
            "subjects",
            "max_msgs_per_subject",
            "discard_new_per_subject",
            "allow_direct",
        ):
            if getattr(found, what) != getattr(wanted, what):
                raise DeliveryError(
                    f"NATS has a stream {self.name!r} that is no queue of aiohooks (its {what} is {getattr(found, what)!r}): "
                    "choose another name as NatsSpool.stream"
                )
        for what in ("max_bytes", "duplicate_window", "num_replicas"):
            if getattr(found, what) != getattr(wanted, what):
                logger.warning(
                    "NATS: the stream %s was made with %s=%s, which stays; `nats stream edit` changes it",
                    self.name, what, getattr(found, what),
                )  # fmt: skip

    async def _make_consumer(self) -> Any:
        try:
            found = await self._jetstream.consumer_info(self.name, _CONSUMER)
        except NotFoundError:
            found = await self._jetstream.add_consumer(self.name, self._consumer)
        self.ack_wait = found.config.ack_wait or self.ack_wait
        return found

    async def _idle_or_new(self) -> tuple[int, Any]:
        while self._idle:
            opened, pulls = self._idle.pop()
            if opened == self._connection.opened:
                return opened, pulls
        opened = self._connection.opened
        return opened, await self._ask(self._subscribe)

    async def _subscribe(self) -> Any:
        return await self._jetstream.pull_subscribe_bind(consumer=_CONSUMER, stream=self.name)

    async def _drop(self, pulls: Any) -> None:
        with contextlib.suppress(Error):  # of a connection that is no more
            await outcome_of(pulls.unsubscribe)

    async def _publish(
        self, subject: str, data: bytes, headers: dict[str, str] | None, patience: float | None
    ) -> Stored:
        tries = 0

        async def publish() -> Any:
            nonlocal tries
            tries += 1
            return await self._jetstream.publish(subject, data, headers=headers)

        try:
            # Waited for when the caller is cancelled, so that it knows what became of it.
            answer = await self._connection.ask(publish, patience=patience, shield=True)
            known = bool(answer.duplicate)
        except APIError as error:
            if error.err_code not in NO_ROOM:
                raise DeliveryError(f"NATS refuses it: {error.description} ({error.err_code})") from error
            if "per subject" not in (error.description or ""):
                return Stored.FULL
            if tries > 1 and headers:
                # What is there can be of the try that got no answer, or somebody else's.
                there = await self._message(subject)
                known = there is None or (there.headers or {}).get(_MSG_ID) != headers[_MSG_ID]
            else:
                known = True
            return Stored.DUPLICATE if known else Stored.STORED
        # An id that is known after a try without an answer is that try's.
        return Stored.DUPLICATE if known and tries == 1 else Stored.STORED

    async def _answer(self, letter: Letter, what: bytes) -> bool:
        """Tell the server what becomes of a message; returns whether it knows that we have it."""
        call = partial(self._connection.client.request, letter.reply, what, timeout=_CONFIRM)
        try:
            with anyio.fail_after(_PATIENCE):
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
            raise DeliveryError(f"NATS did not confirm what becomes of {letter.key} within {_PATIENCE:g} s") from None
        return True

    async def _message(self, subject: str, *, direct: bool = False) -> Any:
        try:
            return await self._ask(partial(self._jetstream.get_msg, self.name, subject=subject, direct=direct))
        except NotFoundError:
            return None

    async def _forget_orphan(self, parts: str) -> bool:
        """Forget chunks unless there is a message of them; returns whether there is one of their key. What is not done in time is swept later."""
        found = None
        with anyio.move_on_after(ANSWER, shield=True):
            found = await self.find(parts.partition(_APART)[0])
            if found is None or found.parts != parts:
                await self._purge(parts)
        return found is not None

    async def _purge(self, parts: str) -> None:
        await self._ask(partial(self._jetstream.purge_stream, self.name, subject=f"{self._subjects}.chunk.{parts}.*"))

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._connection.ask(call, patience=_PATIENCE)

    def _item(self, key: str) -> str:
        return f"{self._subjects}.item.{key}"


def _taken(message: Any) -> Letter:
    about = message.metadata
    return _letter(
        message.subject, message.headers, message.data, about.sequence.stream, about.num_delivered, message.reply
    )


def _seen(message: Any) -> Letter:
    return _letter(message.subject, message.headers, message.data or b"", message.seq)


def _letter(
    subject: str,
    headers: Mapping[str, str] | None,
    data: bytes,
    sequence: int,
    attempt: int = 0,
    reply: str = "",
) -> Letter:
    said = headers or {}
    key = subject.rpartition(".")[2]
    return Letter(
        key=key,
        sequence=sequence,
        attempt=attempt,
        reply=reply,
        data=data,
        chunks=int(said.get(_CHUNKS, 0)),
        parts=said.get(_PARTS, key),
        nbytes=int(said.get(_NBYTES, len(data))),
        ends=int(said.get(_ENDS, 0)),
    )
