"""OpenVINO's core, of which a process needs one."""

import functools

import openvino as ov


@functools.cache
def core() -> ov.Core:
    """Return the one OpenVINO core of this process: it holds the device plugins."""
    return ov.Core()
