"""What people call a trigger or an action."""

import functools


def name_of(function: object) -> str:
    """Return the name of a function, or of the class of what is called like one."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    return getattr(function, "__name__", None) or type(function).__name__
