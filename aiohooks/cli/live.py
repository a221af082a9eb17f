"""A run on a page in the browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohooks.cli.progress import say
from aiohooks.deployment import Deployment

DRAIN_SECONDS = 1.0
"""How long requests of browsers may go on at the end."""


@asynccontextmanager
async def shown_live(deployment: Deployment, port: int) -> AsyncIterator[None]:
    """Show a deployment in the block, to browsers on this machine.

    Args:
        deployment: open.
        port: of TCP; 0 for any that is free.

    Raises:
        DeploymentError: the port is taken.
    """
    from aiohooks.server import serve  # with aiohttp
    from aiohooks.server.app import create_live_app

    async with serve(create_live_app(deployment), port=port, drain_seconds=DRAIN_SECONDS) as (host, found):
        say(f"live at http://{host}:{found}")
        yield
