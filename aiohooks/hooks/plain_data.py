"""Structs from decoded JSON; an error names the place of what is wrong."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from aiohooks.delivery.delivery import StoreSettings
from aiohooks.errors import SpecError
from aiohooks.fields import FieldError, fitted
from aiohooks.hooks.actions import Action
from aiohooks.hooks.registry import ACTIONS, STORES, TRIGGERS, Registry
from aiohooks.hooks.triggers import Trigger

S = TypeVar("S", bound=msgspec.Struct)

_REGISTRIES: Mapping[Any, Registry] = {Trigger: TRIGGERS, Action: ACTIONS, StoreSettings: STORES}


@contextmanager
def whole_document() -> Iterator[None]:
    """Turn errors with a place into ones whose message names it.

    Raises:
        SpecError: its message begins with the place, such as ``$.hooks[0].trigger.threshold``.
    """
    try:
        with at(""):
            yield
    except FieldError as error:
        raise SpecError(f"${error.path}: {error.problem}") from error.__cause__
    except RecursionError:
        raise SpecError("$: nested too deeply") from None


@contextmanager
def at(step: str) -> Iterator[None]:
    """Put a step before the places of errors.

    Raises:
        FieldError: with the longer place.
    """
    try:
        yield
    except FieldError as error:
        raise FieldError(step + error.path, error.problem) from error.__cause__
    except SpecError as error:
        raise FieldError(step, str(error)) from error.__cause__


def known_object(data: object, *, known: Iterable[str], required: Iterable[str]) -> dict[str, Any]:
    """Return the data if it is an object with known fields.

    Raises:
        FieldError: it is no object.
        SpecError: a field is unknown or missing.
    """
    found: dict[str, Any] = fitted(data, dict[str, Any])
    for name in found:
        if name not in known:
            raise SpecError(f"unknown field {name!r}; known are {', '.join(known) or 'none'}")
    for name in required:
        if name not in found:
            raise SpecError(f"the field {name!r} is missing")
    return found


def _field(_name: str, value: object, annotation: Any) -> Any:
    return fitted(value, annotation, dec_hook=tagged_from_data)


def struct_from_data(data: object, cls: type[S], read: Callable[[str, object, Any], Any] = _field) -> S:
    """Make a struct of its fields.

    Args:
        data: an object with them.
        cls: its class.
        read: makes the value of a field from its name, its data and its annotation.

    Raises:
        FieldError, SpecError: something in it is wrong.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    given = known_object(data, known=fields, required=[name for name, field in fields.items() if field.required])
    values = {}
    for name, value in given.items():
        with at(f".{name}"):
            values[fields[name].name] = read(fields[name].name, value, fields[name].type)
    try:
        return cls(**values)
    except SpecError:
        raise
    except Exception as error:  # a class of another package may raise anything
        raise SpecError(f"{cls.__name__}: {error}") from error


def tagged_from_data(annotation: Any, value: object) -> Any:
    """Make a trigger, an action or a store; msgspec calls this for types that it does not know itself.

    Raises:
        FieldError: something in it is wrong.
    """
    with at(""):  # of the errors raised here, msgspec gives a path only to a FieldError
        if annotation not in _REGISTRIES:
            raise SpecError(f"a field of type {annotation} cannot be read from JSON")
        registry = _REGISTRIES[annotation]
        fields = fitted(value, dict[str, Any])
        if "type" not in fields:
            raise SpecError(f"the field 'type' is missing; it names the {registry.kind}")
        with at(".type"):
            cls = registry.find(fitted(fields["type"], str))
        return struct_from_data({name: field for name, field in fields.items() if name != "type"}, cls)
