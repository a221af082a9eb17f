"""Deployments on the network.

It is imported by itself, because aiohttp takes a while: ``import aiohooks.server``.
"""

from aiohooks.server.app import SERVING, TALLY, create_app
from aiohooks.server.limits import Limits
from aiohooks.server.run import serve

__all__ = ["SERVING", "TALLY", "Limits", "create_app", "serve"]
