"""The fields of triggers, actions, hooks and stores are checked against their annotations, from code and from JSON alike."""

from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import msgspec

from aiohooks.errors import SpecError


class FieldError(ValueError):
    """A value does not fit its annotation.

    Attributes:
        path: from the value to the spot, such as ``.parts[1].threshold``; empty if it is the value itself.
        problem: what is wrong there.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(problem)
        self.path = path
        self.problem = problem


def fitted(value: object, annotation: Any, *, dec_hook: Callable[[Any, Any], Any] | None = None) -> Any:
    """Return the value in the form that the annotation asks for.

    Args:
        value: plain data, or already in that form.
        annotation: type of a field; ``Annotated[…, msgspec.Meta(…)]`` for ranges and lengths.
        dec_hook: as in ``msgspec.convert``; the paths of its `FieldError` are kept.

    Raises:
        FieldError: it cannot be.
    """
    try:
        return msgspec.convert(value, annotation, dec_hook=dec_hook)
    except msgspec.ValidationError as error:
        message, _, path = str(error).removesuffix("`").partition(" - at `$")
        inner = error.__cause__
    if isinstance(inner, FieldError):
        raise FieldError(path + inner.path, inner.problem) from inner.__cause__
    raise FieldError(path, message.replace("`", "") + ("" if path else _hint(value, annotation, message)))


def _hint(value: object, annotation: Any, message: str) -> str:
    if get_origin(annotation) is Literal and isinstance(value, str):
        return f"; expected {' or '.join(annotation.__args__)}"
    if message.startswith("Expected `object"):
        structs = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        names = [kind.__name__ for kind in structs if issubclass(kind, msgspec.Struct)]
        return f"; a {names[0]} is wanted" if names else ""
    if message.startswith("Expected `array") and isinstance(value, str):
        return f"; write [{value!r}]"
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() < 64):
        return "" if ", got" in message else f", got {value!r}"
    return ""


def check_fields(struct: msgspec.Struct) -> None:
    """Check every field of a struct against its annotation; lists become tuples, so that nobody can change them.

    Raises:
        SpecError: a value does not fit.
    """
    for field in msgspec.structs.fields(struct):
        try:
            value = fitted(getattr(struct, field.name), field.type)
        except FieldError as error:
            raise SpecError(f"{type(struct).__name__}.{field.name}{error.path}: {error.problem}") from None
        msgspec.structs.force_setattr(struct, field.name, tuple(value) if isinstance(value, list) else value)
