"""A page that shows deployments at work, in a browser."""

from aiohooks.server.live.live_page import LivePage

__all__ = ["LivePage"]
