"""What a request says: its ``state``, in a JSON body or in a text of a form."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from aiohooks.server.refusal import Refusal

State = Mapping[str, Any]

MAX_ID = 2**63 - 1

MAX_BODY_BYTES = 2 * 1024 * 1024
"""Of a JSON body: a hundred thousand ids are less."""

LARGE_BYTES = 64 * 1024
"""What is longer is read in a worker thread."""


def state_of_body(body: bytes) -> State:
    """Return the state in ``{"state": {…}, "context": {}, "api_token": …}``, empty if there is none.

    Raises:
        Refusal: 400, it is not JSON, or no such object.
    """
    if not body:
        return {}
    return _object(_object(_decoded(body, "the body"), "the body").get("state"), "state")


def state_of_form(texts: Mapping[str, bytes]) -> State:
    """Return the state of a form: its text ``state``, or else ``settings``, which holds ``{"settings": {…}}``.

    Raises:
        Refusal: 400, it is not JSON, or no object.
    """
    for name in ("state", "settings"):
        text = texts.get(name, b"").strip()
        if text:
            state = _object(_decoded(text, name), name)
            if state:
                return state
    return {}


def first_of(state: State, *names: str) -> Any:
    """Return the value of the first of these names that is there and not null; else None."""
    return next((state[name] for name in names if state.get(name) is not None), None)


def whole_number(state: State, *names: str, least: int = 0) -> int | None:
    """Return the whole number of the first of these names that is there; else None.

    Raises:
        Refusal: 400, it is none, or too small.
    """
    value = first_of(state, *names)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MAX_ID:
        raise Refusal(400, f"{names[0]}: expected a whole number from {least} on, got {shown(value)}")
    return value


def identity(state: State, *names: str) -> int:
    """Return the id of the first of these names that is there.

    Raises:
        Refusal: 400, there is none.
    """
    value = whole_number(state, *names)
    if value is None:
        raise Refusal(400, f"{names[0]}: is missing in the state")
    return value


def identities(state: State, *names: str, most: int) -> list[int]:
    """Return the list of ids of the first of these names that is there.

    Raises:
        Refusal: 400, there is none, or something else than ids in it; 413, there are more than ``most``.
    """
    values = first_of(state, *names)
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise Refusal(400, f"{names[0]}: expected a list of ids, got {shown(values)}")
    if len(values) > most:
        raise Refusal(413, f"{names[0]}: a request may have {most} ids, got {len(values)}")
    return [identity({f"{names[0]}[{index}]": value}, f"{names[0]}[{index}]") for index, value in enumerate(values)]


def shown(value: object) -> str:
    """Return a value for a message, shortened; of what may hold much, only its kind."""
    match value:
        case str():
            text = repr(value[:101])
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"an object of {len(value)}"
        case _:
            text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def _decoded(text: bytes, name: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, f"{name}: this is not JSON: {error}") from None
    except RecursionError:
        raise Refusal(400, f"{name}: it is nested too deeply") from None


def _object(value: object, name: str) -> State:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refusal(400, f"{name}: expected an object, got {shown(value)}")
    return value
