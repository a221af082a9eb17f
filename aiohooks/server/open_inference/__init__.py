"""Deployments behind the Open Inference Protocol (KServe v2), with the extension for binary tensors.

A deployment ``d`` is two models there: ``d``, pictures in and predictions out, and, where it is a single model, ``d.tensors``, its own
inputs and outputs as they are, past decoding and hooks.
"""

from aiohooks.server.open_inference.routes import routes

__all__ = ["routes"]
