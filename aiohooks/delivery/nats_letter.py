"""A message of a queue, and what its headers say of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

MSG_ID = "Nats-Msg-Id"
_CHUNKS = "Aiohooks-Chunks"
_PARTS = "Aiohooks-Parts"
_NBYTES = "Aiohooks-Bytes"
_ENDS = "Aiohooks-Ends"


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


def headers(id: str, ends: int = 0) -> dict[str, str]:
    """Return the headers of a message; for ``ends`` see `Letter`."""
    return {MSG_ID: id} | ({_ENDS: str(ends)} if ends else {})


def headers_of_chunks(number: int, parts: str, nbytes: int) -> dict[str, str]:
    """Return those that a message has besides, whose body is in chunks."""
    return {_CHUNKS: str(number), _PARTS: parts, _NBYTES: str(nbytes)}


def taken(message: Any) -> Letter:
    """Return a message that a consumer has delivered."""
    about = message.metadata
    return _letter(
        message.subject, message.headers, message.data, about.sequence.stream, about.num_delivered, message.reply
    )


def seen(message: Any) -> Letter:
    """Return a message that was read from its stream."""
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
