"""Tokens, which no repr and no message shows."""

import os
from typing import Self

from aiohooks.errors import SpecError


class Token:
    """A token that opens a server.

    Args:
        source: where it comes from, for messages.
        value: the token.
        kind: what it is called in messages.

    Raises:
        SpecError: there is none, or it cannot be sent.
    """

    __slots__ = ("_value", "source")

    def __init__(self, source: str, value: str, *, kind: str = "token") -> None:
        value = value.strip()
        if not value:
            raise SpecError(f"the {kind} in {source} is empty")
        if not (value.isascii() and value.isprintable()):
            raise SpecError(f"the {kind} in {source} holds a line break or another character that cannot be sent")
        self.source = source
        self._value = value

    @classmethod
    def from_variable(cls, variable: str, *, kind: str = "token") -> Self:
        """Return the token in an environment variable.

        Raises:
            SpecError: it is not set or empty, or the token cannot be sent.
        """
        value = os.environ.get(variable)
        if not value:
            raise SpecError(f"the environment variable {variable} is not set: put the {kind} into it")
        return cls(f"the environment variable {variable}", value, kind=kind)

    def __repr__(self) -> str:
        return f"Token({self.source!r})"

    def __reduce__(self) -> str:
        raise TypeError("a token is not written anywhere")

    def reveal(self) -> str:
        """Return the token itself, to send it."""
        return self._value

    def hide(self, text: str) -> str:
        """Return a text without the token."""
        return text.replace(self._value, "[token]")


def chosen_token(value: str | None, variable: str | None) -> Token | None:
    """Return the token that is given, or that in an environment variable; None if there is neither.

    Raises:
        SpecError: both are given, or as `Token.from_variable`.
    """
    if value is not None and variable is not None:
        raise SpecError("a token and a variable that holds one are given; give one of them")
    if value is not None:
        return Token("the argument", value)
    return None if variable is None else Token.from_variable(variable)
