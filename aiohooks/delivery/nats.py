"""A spool on a NATS server, so that cameras on several machines feed workers on others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import anyio
import msgspec

from aiohooks.delivery.policies import Full
from aiohooks.errors import DeliveryError, SpecError
from aiohooks.fields import check_fields

if TYPE_CHECKING:
    from aiohooks.delivery.nats_store import NatsStore

_SCHEMES = ("nats", "tls", "ws", "wss")
_GIB = 1 << 30

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]
Bytes = Annotated[int, msgspec.Meta(ge=1 << 16, le=1 << 50)]


class NatsSpool(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Keeps what is to be delivered in a stream of NATS JetStream; needs ``aiohooks[nats]`` and nats-server 2.10 or newer.

    Whoever opens it with the same servers and stream shares it: what any of them puts, any of them leases, each item one at a time.
    The stream and its consumer are made by the first; where they exist they are taken as they are. Dead letters go to the stream
    ``<stream>_dead``.

    Attributes:
        servers: of one cluster, as ``nats://host:port``, ``tls://…``, ``ws://…`` or ``wss://…``; any that answers is taken.
        stream: name of the stream.
        credentials_variable: name of the environment variable that says who we are: ``user:password``, a token, an NKey seed, the text
            of a ``.creds`` file or the path to one. Looked up for each new connection; the last three need ``nats-py[nkeys]``.
        max_bytes: of the stream on the server, including large items.
        max_dead_bytes: of the dead letters; when they are full nothing more can be buried.
        full: what `Store.put` does when the stream is full or no server answers. ``block`` waits, ``raise`` raises `DeliveryError`,
            ``drop_newest`` drops the item and counts it, ``drop_oldest`` the oldest that nobody has in hand or has put off, and the item
            itself where there is none or no server answers; all but ``block`` wait ``timeout`` seconds for an answer.
        max_attempts: an item that was leased so often becomes a dead letter when its turn comes again; None: never. The server counts
            leases and not how they ended: unlike with a `Spool`, ordinary failures of delivery and workers that closed count, too.
        ack_wait: seconds after which an item of a worker that went silent is given to another; extended while a worker lives.
        duplicate_window: seconds in which the server refuses an item that has been put before, even if it is delivered by now. While an item
            waits it is refused however long that takes.
        replicas: servers of a cluster that each keep the stream.
        timeout: seconds in which a server has to be reached to open, and in which the streams then have to be there.

    Raises:
        SpecError: a value is out of its range, or a server's address holds a password.
    """

    servers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("nats://127.0.0.1:4222",)
    stream: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,64}$")] = "aiohooks"
    credentials_variable: Annotated[str, msgspec.Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    max_bytes: Bytes = 10 * _GIB
    max_dead_bytes: Bytes = _GIB
    full: Full = "block"
    max_attempts: Annotated[int, msgspec.Meta(ge=1)] | None = None
    ack_wait: Seconds = 30.0
    duplicate_window: Seconds = 120.0
    replicas: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1
    timeout: Seconds = 10.0

    def __post_init__(self) -> None:
        check_fields(self)
        for server in self.servers:
            _check_address(server)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["NatsStore"]:
        """Connect, and make the streams if they are missing; leaving it gives back what is still leased.

        Raises:
            DeliveryError: nats-py is missing; no server can be reached, or it refuses us; it has no JetStream, too little room, or a
                stream of that name that is no such queue.
        """
        try:
            from aiohooks.delivery.nats_connection import Connection
            from aiohooks.delivery.nats_login import login
            from aiohooks.delivery.nats_store import NatsStore
        except ImportError as error:
            if (error.name or "").partition(".")[0] != "nats":
                raise
            raise DeliveryError(
                'a NatsSpool needs nats-py, which is not installed: pip install "aiohooks[nats]"'
            ) from error
        connection = Connection(self.servers, partial(login, self.credentials_variable), within=self.timeout)
        await connection.open()
        try:
            store = NatsStore(
                connection,
                self.stream,
                max_bytes=self.max_bytes,
                max_dead_bytes=self.max_dead_bytes,
                full=self.full,
                max_attempts=self.max_attempts,
                ack_wait=self.ack_wait,
                duplicate_window=self.duplicate_window,
                replicas=self.replicas,
                timeout=self.timeout,
            )
            async with store.opened():
                yield store
        finally:
            with anyio.CancelScope(shield=True):  # it has a time-out of its own
                await connection.close()


def _check_address(server: str) -> None:
    try:
        parts = urlsplit(server)
        usable = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        # Not shown: where it cannot be read, nobody knows what of it is secret.
        raise SpecError("NatsSpool.servers must be addresses such as nats://host:4222")
    if parts.username is not None or parts.password is not None:
        raise SpecError(
            "NatsSpool.servers must not hold a user name, password or token: put that into an environment variable and name it as "
            "credentials_variable"
        )
