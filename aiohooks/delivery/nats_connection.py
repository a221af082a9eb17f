"""A connection to NATS that outlives restarts and refusals of the server: what gets no answer is asked again."""

import itertools
import logging
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import anyio
from nats.aio.client import Client
from nats.errors import (
    ConnectionClosedError,
    ConnectionReconnectingError,
    Error,
    NoRespondersError,
    OutboundBufferLimitError,
    StaleConnectionError,
)
from nats.js import JetStreamContext
from nats.js.errors import NoStreamResponseError, ServiceUnavailableError

from aiohooks.delivery.nats_call import ANSWER, outcome_of
from aiohooks.errors import DeliveryError

logger = logging.getLogger("aiohooks.delivery")

T = TypeVar("T")

RECONNECT = 0.5
"""Seconds between attempts to reach a server again."""

NO_ROOM = frozenset({10002, 10023, 10077})
"""JetStream's codes where account, server or stream cannot take a message: not a server that is away."""

_NO_JETSTREAM = frozenset({None, 10039, 10076})
"""JetStream's codes where a server or an account has none; None where nobody answers for it."""


class NoAnswer(Exception):  # noqa: N818  # it says what happened; whether that is an error the asker knows
    """The server did not answer, or not yet; what was asked may have been done."""


class TooLate(NoAnswer):
    """The time for an answer is over."""


class _Refused(Exception):  # noqa: N818  # it only leads out of nats-py
    """The server does not know us."""


def pause(retries: int) -> float:
    """Return the seconds to wait before the next try: from 0.05, twice as long each time, at most 2, with jitter."""
    return min(2.0, math.ldexp(0.05, min(retries, 64))) * random.uniform(0.5, 1.0)


class Connection:
    """A client of nats-py, with what is asked over it.

    Args:
        servers: their addresses, without secrets.
        login: returns the arguments of nats-py's ``connect`` that say who we are; asked for each new connection.
        within: seconds to reach a server.

    Attributes:
        opened: how often it was opened: subscriptions are of one opening.
        reconnects: how often a server was reached again.
    """

    def __init__(self, servers: Sequence[str], login: Callable[[], Mapping[str, object]], *, within: float) -> None:
        self.client = Client()
        self.jetstream: JetStreamContext = self.client.jetstream(timeout=ANSWER)
        self._servers = list(servers)
        self._where = ", ".join(servers)
        self._login = login
        self._within = within
        self._asking: set[anyio.CancelScope] = set()
        self._opening = True
        self._is_over = False
        self._ended = anyio.Event()
        self._connected = anyio.Event()
        self._trouble = ""
        self.opened = 0
        self.reconnects = 0

    @property
    def closed(self) -> bool:
        """Whether we have closed it."""
        return self._is_over

    async def open(self) -> None:
        """Connect, and see that there is JetStream. It ends in time whatever nats-py does, and where it fails it leaves nothing open.

        Raises:
            DeliveryError: no server is reached ``within`` so many seconds, it refuses us, or has no JetStream.
        """
        try:
            await self._reach(self._login())
            await self._see_jetstream(self._where)
        except BaseException:
            self._is_over = True
            await self._end()  # noqa: ASYNC102  # shielded there
            raise

    async def keep_open(self) -> None:
        """Open it again, as who we are then, whenever a server has ended it for good; until cancelled.

        nats-py connects again where a connection breaks. Where a server says why it ends one, as with a password that has changed,
        nats-py takes that for the end.
        """
        while True:
            await self._ended.wait()
            logger.warning(
                "NATS: the server has ended the connection (%s); opening another", self._trouble or "no reason"
            )
            self._opening = True
            for retries in itertools.count():
                await anyio.sleep(pause(retries))
                try:
                    await self._reach(self._login())
                    break
                except DeliveryError as error:
                    self._trouble = str(error)
                    logger.log(logging.WARNING if retries == 0 else logging.DEBUG, "%s; trying again", error)
                await self._end()
            self.reconnects += 1
            logger.info("NATS: connected again, to %s", self._where)

    async def close(self) -> None:
        """Close it; what is being asked gets no answer."""
        self._is_over = True
        with anyio.move_on_after(ANSWER, shield=True):
            is_connected = self._connected.is_set() and self.client.is_connected
            if not (self._opening or self._ended.is_set() or is_connected):
                # nats-py 2.16 does not hear of being cancelled while it connects again, and would go on: it is left to come to its end.
                self.client.options["max_reconnect_attempts"] = 1
                if self._connected.is_set():
                    self._connected = anyio.Event()
                await self._connected.wait()
        await self._end()
        self._connected.set()  # whoever waits hears of it
        self._interrupt()

    async def ask(self, call: Callable[[], Awaitable[T]], *, patience: float | None = None, shield: bool = False) -> T:
        """Return what the call returns, called again until a server answers: it must do no harm to do it twice.

        Args:
            call: asks something of the server.
            patience: seconds to wait for an answer, through restarts of the server; None for ever.
            shield: whether a call that is under way is waited for when the caller is cancelled, for at most `ANSWER` seconds.

        Raises:
            DeliveryError: there was no answer in that time, or the connection is closed.
            nats.js.errors.APIError: the server refused.
        """
        retries = 0
        try:
            with anyio.fail_after(patience):
                while True:
                    await self.connected()
                    try:
                        return await self.once(call, shield=shield)
                    except NoAnswer as silence:
                        self._trouble = str(silence)
                        logger.log(
                            logging.WARNING if retries == 0 else logging.DEBUG, "NATS: %s; asking again", silence
                        )
                    await anyio.sleep(pause(retries))
                    retries += 1
        except TimeoutError:
            raise DeliveryError(
                f"NATS at {self._where} did not answer within {patience:g} s ({self._trouble or 'no connection'})"
            ) from None

    async def once(self, call: Callable[[], Awaitable[T]], *, shield: bool = False) -> T:
        """Return what the call returns.

        Raises:
            NoAnswer: it got none, or the connection broke meanwhile.
            DeliveryError: the connection is closed.
            nats.js.errors.APIError: the server refused.
        """
        with anyio.CancelScope(shield=shield) as scope:
            self._asking.add(scope)
            try:
                return await outcome_of(call, finish=shield)
            except TimeoutError as error:  # of nats-py
                raise TooLate(self._trouble or "no answer in time") from error
            except ServiceUnavailableError as error:
                if error.err_code in NO_ROOM:
                    raise
                raise NoAnswer(error.description or "JetStream does not answer") from error
            except (NoRespondersError, NoStreamResponseError) as error:
                raise NoAnswer("nobody answers for the stream") from error
            except (OutboundBufferLimitError, ConnectionReconnectingError, StaleConnectionError, OSError) as error:
                raise NoAnswer(_text(error)) from error
            except ConnectionClosedError:
                if self.closed:
                    raise self._closed_error() from None
                raise NoAnswer("the connection was ended") from None
            finally:
                self._asking.discard(scope)
        raise NoAnswer("the connection was lost")

    async def connected(self) -> None:
        """Wait until there is a server.

        Raises:
            DeliveryError: the connection is closed.
        """
        await self._connected.wait()
        if self.closed:
            raise self._closed_error()

    async def tell(self, subject: str, payload: bytes = b"") -> None:
        """Publish something that does no harm if it gets lost."""
        if self.client.is_connected:
            try:
                with anyio.move_on_after(ANSWER):
                    await outcome_of(partial(self.client.publish, subject, payload))
            except (Error, OSError) as error:
                logger.debug("NATS: %s", error)

    async def _reach(self, login: Mapping[str, object]) -> None:
        where, within = self._where, self._within
        self.client._server_pool.clear()  # to which nats-py adds, whenever it connects
        connect = partial(
            self.client.connect,
            self._servers,
            name="aiohooks",
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
            reconnect_time_wait=RECONNECT,
            max_reconnect_attempts=-1,
            # Nothing is buffered while there is no server: what got no answer is asked again.
            pending_size=0,
            **login,
        )
        try:
            with anyio.move_on_after(within):
                await outcome_of(connect)
        except _Refused as refused:
            raise DeliveryError(
                f"NATS at {where} refuses us ({refused}): is NatsSpool.credentials_variable set, and right?"
            ) from None
        except Exception as error:
            raise DeliveryError(f"NATS at {where} cannot be reached: {_text(error)}") from error
        if not self.client.is_connected:
            raise DeliveryError(
                f"NATS at {where} was not reached within {within:g} s ({self._trouble or 'no answer'}): is nats-server running there?"
            )
        # No await from here to the end: what ends it from now on is told to `_on_closed`.
        self._opening = False
        self._ended = anyio.Event()
        self._trouble = ""
        self.opened += 1
        self._connected.set()

    async def _end(self) -> None:
        with anyio.move_on_after(ANSWER, shield=True):
            try:
                await outcome_of(self.client.close, finish=True)
            except Exception as error:  # of a client that has never come to connecting, or whose transport is broken
                logger.debug("NATS: while closing: %s", _text(error))

    async def _see_jetstream(self, where: str) -> None:
        try:
            with anyio.fail_after(2 * ANSWER):
                await outcome_of(self.jetstream.account_info)
        except ServiceUnavailableError as error:
            if error.err_code not in _NO_JETSTREAM:
                raise DeliveryError(f"JetStream of NATS at {where} does not answer: {error.description}") from error
            raise DeliveryError(
                f"NATS at {where} has no JetStream ({error.description or 'nobody answers for it'}): start it with "
                "`nats-server -js`, or allow it for this account"
            ) from error
        except Exception as error:
            raise DeliveryError(
                f"JetStream of NATS at {where} does not answer: {self._trouble or _text(error)}"
            ) from error

    def _closed_error(self) -> DeliveryError:
        return DeliveryError(f"the connection to NATS is closed{f': {self._trouble}' if self._trouble else ''}")

    async def _on_error(self, error: Exception) -> None:
        self._trouble = _text(error)
        logger.debug("NATS: %s", self._trouble)
        if self._opening and _is_refusal(self._trouble):
            raise _Refused(self._trouble)  # else nats-py would ask again for ever
        if (self.client.is_reconnecting or self.client.is_connecting) and _is_refusal(self._trouble):
            self.client.options["max_reconnect_attempts"] = 1  # it is to give up, so that we ask again who we are

    async def _on_disconnected(self) -> None:
        if self._connected.is_set() and not self.closed:
            self._connected = anyio.Event()
            logger.warning("NATS: the connection was lost; connecting again")
        self._interrupt()

    async def _on_reconnected(self) -> None:
        self.reconnects += 1
        self._trouble = ""
        self._connected.set()
        logger.info("NATS: connected again, to %s", self.client.connected_url.hostname)

    async def _on_closed(self) -> None:
        if self._opening:
            return
        if self.closed:
            self._connected.set()  # whoever waits hears of it
        else:
            if self._connected.is_set():
                self._connected = anyio.Event()
            if self.client.last_error is not None:
                self._trouble = _text(self.client.last_error)
            self._ended.set()
        self._interrupt()

    def _interrupt(self) -> None:
        for scope in list(self._asking):
            scope.cancel()


def _is_refusal(text: str) -> bool:
    return "authorization" in text.lower() or "authentication" in text.lower()


def _text(error: BaseException) -> str:
    return str(error).removeprefix("nats: ").strip("'") or type(error).__name__
