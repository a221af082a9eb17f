"""Our own protocol: pictures or a video in, results out as they are ready, over HTTP or a WebSocket."""

from aiohooks.server.native.routes import routes

__all__ = ["routes"]
