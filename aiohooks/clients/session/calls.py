"""Requests in the form that served models take: a ``state``, alone or with files."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohooks.clients.session.request import Call, Part


class Calls:
    """Makes requests to one model.

    Args:
        api_token: of the platform, if the model is an app there: it goes into the body.
    """

    def __init__(self, api_token: str | None) -> None:
        self._more = {} if api_token is None else {"api_token": api_token}

    def of_state(
        self, method: str, state: Mapping[str, Any], *, is_repeatable: bool = True, more_seconds: float = 0.0
    ) -> Call:
        """Return a request that says a state; the other arguments are those of `Call`."""
        body = {"state": state, "context": {}, **self._more}
        return Call(method, body, is_repeatable=is_repeatable, more_seconds=more_seconds)

    def with_files(
        self,
        method: str,
        files: Sequence[Part],
        state: Mapping[str, Any],
        *,
        text: str = "state",
        is_repeatable: bool = True,
    ) -> Call:
        """Return a request that sends files, with the state in a text of this name."""
        content = json.dumps(state).encode()
        said = Part(text, content, len(content), media_type="text/plain")
        return Call(method, form=[*files, said], is_repeatable=is_repeatable)
