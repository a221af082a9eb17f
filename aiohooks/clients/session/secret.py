"""Tokens, which no repr and no message shows."""

import os
from typing import Self

from aiohooks.errors import SpecError


class Secret:
    """A token.

    Args:
        value: the token.
        source: how messages call the place that it comes from.

    Raises:
        SpecError: there is none, or it cannot be sent.
    """

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str = "the argument") -> None:
        value = value.strip()
        if not (value and value.isascii() and value.isprintable()):
            raise SpecError(f"the token in {source} is empty, or holds a character that cannot be sent")
        self._value = value
        self.source = source

    @classmethod
    def from_variable(cls, variable: str) -> Self:
        """Return the token in an environment variable.

        Raises:
            SpecError: it is not set.
        """
        value = os.environ.get(variable)
        if not value:
            raise SpecError(f"the environment variable {variable} is not set: put the token into it")
        return cls(value, f"the environment variable {variable}")

    @classmethod
    def given(cls, value: str | None, variable: str | None) -> Self | None:
        """Return the token that is given or in a variable; None if there is neither.

        Raises:
            SpecError: both are given, or as `from_variable`.
        """
        if value is not None and variable is not None:
            raise SpecError("a token and a variable that holds one are given; give one of them")
        if value is not None:
            return cls(value)
        return None if variable is None else cls.from_variable(variable)

    def __repr__(self) -> str:
        return f"Secret({self.source!r})"

    def __reduce__(self) -> str:
        raise TypeError("a token is not written anywhere")

    def reveal(self) -> str:
        """Return the token itself, to send it."""
        return self._value
