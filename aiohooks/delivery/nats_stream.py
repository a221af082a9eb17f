"""A work-queue stream of JetStream with its one consumer: made, checked, asked."""

import contextlib
import enum
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, NotFoundError

from aiohooks.delivery.nats_call import ANSWER
from aiohooks.delivery.nats_connection import NO_ROOM, Connection, logger
from aiohooks.delivery.nats_letter import MSG_ID, Letter, seen
from aiohooks.errors import DeliveryError

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds for which a server that is away is waited for by whoever is not to wait for ever."""

_CONSUMER = "workers"
_STREAM_EXISTS = 10058


class MayBeStoredError(DeliveryError):
    """The server was asked to store a message, and has not answered."""


class Stored(enum.Enum):
    """What became of a message."""

    STORED = enum.auto()
    DUPLICATE = enum.auto()
    FULL = enum.auto()


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


class WorkStream:
    """The stream of a queue. It holds at most one message of each subject: items, and the chunks of those that are too large for one message.

    Args:
        connection: open, or about to be.
        name: of the stream.
        max_bytes: of the stream, chunks included; what would exceed it is refused.
        replicas: servers that keep it.
        duplicate_window: seconds in which a message with the same id is refused.
        ack_wait: seconds after which a message that was taken is given to another taker, unless `Queue.extend` is called.

    Attributes:
        ack_wait: that of the consumer which is there.
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
        self.items = f"{self._subjects}.item.*"
        self.chunks = f"{self._subjects}.chunk.*.*"
        self._stream = StreamConfig(
            name=name,
            description="what aiohooks has to deliver",
            subjects=[self.items, self.chunks],
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
            filter_subject=self.items,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait,
            max_deliver=-1,
            # What a worker puts off counts as taken: it must not keep others from what is ready.
            max_ack_pending=-1,
        )

    def item(self, key: str) -> str:
        """Return the subject of an item."""
        return f"{self._subjects}.item.{key}"

    def chunk(self, parts: str, number: int | str) -> str:
        """Return the subject of a chunk, or with ``*`` of all that are named so."""
        return f"{self._subjects}.chunk.{parts}.{number}"

    async def prepare(self) -> None:
        """Make the stream and the consumer, or take them as they are.

        Raises:
            DeliveryError: the server refuses, or what is there is no such queue.
        """
        try:
            await self.ask(self._make_stream)
            await self.consumer()
        except APIError as error:
            raise DeliveryError(
                f"NATS refuses the stream {self.name!r}: {error.description} ({error.err_code})"
            ) from error

    async def consumer(self) -> ConsumerInfo:
        """Return what the server says of the consumer, made if it is missing."""
        return await self.ask(self._make_consumer)

    async def remake_consumer(self) -> None:
        """Delete the consumer and make it again: it gives out all messages of the stream."""
        with contextlib.suppress(NotFoundError):  # somebody else saw the need too
            await self.ask(partial(self._jetstream.delete_consumer, self.name, _CONSUMER))
        await self.consumer()

    async def subscribe(self) -> Any:
        """Return a subscription to the consumer."""
        return await self.ask(partial(self._jetstream.pull_subscribe_bind, consumer=_CONSUMER, stream=self.name))

    async def publish(
        self, subject: str, data: bytes, headers: dict[str, str] | None, patience: float | None
    ) -> Stored:
        """Store a message, once; one without headers is a chunk, which is nothing without the message that stands for all.

        Raises:
            DeliveryError: no answer in that time, or the server refuses.
            MayBeStoredError: it was asked, and has not answered in that time.
        """
        tries = 0

        async def publish() -> Any:
            nonlocal tries
            tries += 1
            return await self._jetstream.publish(subject, data, headers=headers)

        try:
            # Waited for when the caller is cancelled, so that it knows what became of it.
            answer = await self._connection.ask(publish, patience=patience, shield=True)
            known = bool(answer.duplicate)
        except DeliveryError as error:
            if tries and headers:
                raise MayBeStoredError(str(error)) from error
            raise
        except APIError as error:
            if error.err_code not in NO_ROOM:
                raise DeliveryError(f"NATS refuses it: {error.description} ({error.err_code})") from error
            if "per subject" not in (error.description or ""):
                return Stored.FULL
            if tries > 1 and headers:
                # What is there can be of the try that got no answer, or somebody else's.
                there = await self.message(subject)
                known = there is None or (there.headers or {}).get(MSG_ID) != headers[MSG_ID]
            else:
                known = True
            return Stored.DUPLICATE if known else Stored.STORED
        # An id that is known after a try without an answer is that try's.
        return Stored.DUPLICATE if known and tries == 1 else Stored.STORED

    async def message(self, subject: str, *, direct: bool = False) -> Any:
        """Return the message of a subject, without taking it; None if there is none.

        Args:
            subject: the subject.
            direct: ask any server that has a copy, which may not know of the latest.
        """
        try:
            return await self.ask(partial(self._jetstream.get_msg, self.name, subject=subject, direct=direct))
        except NotFoundError:
            return None

    async def find(self, key: str) -> Letter | None:
        """Return the item of that key, taken or not, without taking it; None if there is none."""
        message = await self.message(self.item(key))
        return None if message is None else seen(message)

    async def first_after(self, sequence: int) -> Letter | None:
        """Return the first item after that sequence number, without taking it; None if there is none."""
        try:
            return seen(
                await self.ask(
                    partial(self._jetstream.get_msg, self.name, seq=sequence + 1, subject=self.items, next=True)
                )
            )
        except NotFoundError:
            return None

    async def delete(self, sequence: int) -> None:
        """Delete a message; raises `APIError` if there is none."""
        await self.ask(partial(self._jetstream.delete_msg, self.name, sequence))

    async def purge(self, subject: str | None = None) -> None:
        """Delete all messages, or those of a subject, which may have wildcards."""
        await self.ask(partial(self._jetstream.purge_stream, self.name, subject=subject))

    async def subjects(self, pattern: str) -> list[str]:
        """Return the subjects that messages have."""
        info = await self.ask(partial(self._jetstream.stream_info, self.name, subjects_filter=pattern))
        return list(info.state.subjects or {})

    async def state(self) -> State:
        """Return what is in it."""
        consumer = await self.consumer()
        answer = await self.ask(
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

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what the call returns, as `Connection.ask` does for a minute."""
        return await self._connection.ask(call, patience=PATIENCE)

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

    async def _make_consumer(self) -> ConsumerInfo:
        try:
            found = await self._jetstream.consumer_info(self.name, _CONSUMER)
        except NotFoundError:
            found = await self._jetstream.add_consumer(self.name, self._consumer)
        self.ack_wait = found.config.ack_wait or self.ack_wait
        return found
