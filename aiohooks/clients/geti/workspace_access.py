"""The way into a workspace: which server and token, one pool of connections, and the path that requests begin with."""

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import msgspec

from aiohooks.backoff import Backoff
from aiohooks.clients.geti.addresses import path_of
from aiohooks.clients.geti.answers import Organizations, Workspace, Workspaces, default_organization
from aiohooks.clients.geti.server import TOKEN, GetiServer, normalised_host
from aiohooks.clients.token import Token
from aiohooks.errors import SessionError, SpecError

if TYPE_CHECKING:
    from aiohooks.clients.geti.connection import Connection

T = TypeVar("T")


class WorkspaceAccess:
    """Asks a server on behalf of a token. Connection and workspace are found at the first request after `open`.

    For the arguments see `GetiClient`.

    Attributes:
        host: of the server, normalised; None until the environment is asked for it.
    """

    def __init__(
        self,
        host: str | None,
        token: str | Token | None,
        *,
        token_variable: str,
        workspace_id: str | None,
        verify_certificate: bool,
        proxy: str | None,
        max_connections: int,
        connect_timeout: float,
        timeout: float,
    ) -> None:
        self.host = None if host is None else normalised_host(host)
        self._token = Token("the argument `token`", token, kind=TOKEN) if isinstance(token, str) else token
        self._token_variable = token_variable
        self._workspace_id = workspace_id
        self._verify_certificate = verify_certificate
        self._proxy = proxy
        self._limits: dict[str, Any] = {
            "max_connections": max_connections,
            "connect_timeout": connect_timeout,
            "timeout": timeout,
            "backoff": Backoff(),
        }
        self._is_open = False
        self._connection: Connection | None = None
        self._path: str | None = None
        self._finding_path = anyio.Lock()

    def __str__(self) -> str:
        token = self._token.source if self._token is not None else f"the environment variable {self._token_variable}"
        return f"GetiClient({self.host or 'host of GETI_HOST'!r}, token from {token})"

    def open(self) -> None:
        """Permit requests.

        Raises:
            SessionError: it is open.
        """
        if self._is_open:
            raise SessionError(f"{self} is open already; share it, or make another one")
        self._is_open = True

    async def aclose(self) -> None:
        """Close the connections; it may be opened again."""
        connection, self._connection = self._connection, None
        self._is_open, self._path = False, None
        if connection is not None:
            await connection.aclose()

    @property
    def connection(self) -> "Connection":
        """The pool of connections.

        Raises:
            SessionError: it is not open.
            SpecError: host or token is missing.
        """
        from aiohooks.clients.geti.connection import Connection  # loads aiohttp

        if not self._is_open:
            raise SessionError(f"{self} is not open: use it in `async with`")
        if self._connection is None:
            server = self._server()
            self.host = server.host
            self._connection = Connection(server, **self._limits)
        return self._connection

    async def ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        json: object = None,
        *,
        is_repeatable: bool = True,
        done_before: Callable[[], Awaitable[object]] | None = None,
    ) -> T:
        """Return the answer to a request; for the arguments see `Request`."""
        from aiohooks.clients.geti.connection import Request  # loads aiohttp

        body = None if json is None else msgspec.json.encode(json)
        request = Request(method, path, json=body, is_repeatable=is_repeatable, done_before=done_before)
        return await self.connection.ask(request, kind)

    async def path(self) -> str:
        """Return the path of the workspace; organisation and workspace are asked for once."""
        if self._path is None:
            async with self._finding_path:
                if self._path is None:
                    self._path = await self._find_path()
        return self._path

    def _server(self) -> GetiServer:
        host = self.host or os.environ.get("GETI_HOST")
        if not host:
            raise SpecError("which Geti server? Give its host, or set the environment variable GETI_HOST")
        host = normalised_host(host)
        proxy = os.environ.get("GETI_HTTPS_PROXY") if self._proxy is None else self._proxy
        return GetiServer(
            host=host,
            token=self._token or Token.from_variable(self._token_variable, kind=TOKEN),
            verify_certificate=self._verify_certificate,
            proxy=proxy if proxy and host.startswith("https:") else None,  # over http it could read the token
        )

    async def _find_path(self) -> str:
        answer = await self.ask("GET", "personal_access_tokens/organization", Organizations)
        organization = default_organization(answer)
        if organization is None:
            raise SessionError(f"{self.host}: the token belongs to no organization")
        workspace = self._workspace_id
        if workspace is None:
            path = path_of("organizations", organization, "workspaces")
            kind: Any = Workspaces | tuple[Workspace, ...]  # early versions of Geti answer only the list
            found = await self.ask("GET", path, kind)
            workspaces = found.workspaces if isinstance(found, Workspaces) else found
            if len(workspaces) != 1:
                there = ", ".join(f"{one.id} ({one.name})" for one in workspaces) or "none"
                raise SessionError(
                    f"{self.host}: the token can see several workspaces or none; workspace_id is one of: {there}"
                )
            workspace = workspaces[0].id
        return path_of("organizations", organization, "workspaces", workspace)
