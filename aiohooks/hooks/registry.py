"""Which triggers, actions and stores a saved hook may name."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

import msgspec

from aiohooks.delivery.nats import NatsSpool
from aiohooks.delivery.spool import Spool
from aiohooks.errors import SpecError
from aiohooks.hooks.actions import FileSystemDataCollection, GetiDataCollection, HttpRequestAction, LogAction
from aiohooks.hooks.triggers import (
    AllOf,
    AlwaysTrigger,
    AnyOf,
    ConfidenceTrigger,
    EmptyLabelTrigger,
    LabelTrigger,
    Not,
    ObjectCountTrigger,
)


class Registry:
    """Classes by their tag: the built-in ones, and those that installed packages offer by entry point.

    The name of an entry point is the tag of the class that it points to. Nothing is imported before it is asked for.

    Args:
        kind: what is registered, for messages.
        group: of the entry points.
        built_in: classes that need no entry point; their tags cannot be taken by others.
    """

    def __init__(self, kind: str, group: str, built_in: Iterable[type[msgspec.Struct]]) -> None:
        self.kind = kind
        self.group = group
        self._built_in = {str(cls.__struct_config__.tag): cls for cls in built_in}

    def find(self, tag: str) -> type[msgspec.Struct]:
        """Return the class with that tag.

        Raises:
            SpecError: there is none, there are several, or it cannot be loaded.
        """
        if tag in self._built_in:
            return self._built_in[tag]
        offers = list(entry_points(group=self.group, name=tag))
        if not offers:
            raise SpecError(
                f"unknown {self.kind} {tag!r}; known are {', '.join(self._known())}. Packages add their own by an entry "
                f"point of that name in the group {self.group!r}: is the one that brings {tag!r} installed?"
            )
        if len(offers) > 1:
            packages = " and ".join(sorted(_package(offer) for offer in offers))
            raise SpecError(f"{self.kind} {tag!r} is offered by {packages}; uninstall all but one")
        return self._load(tag, offers[0])

    def tag_of(self, value: object) -> str:
        """Return the tag by which `find` finds the class of the value.

        Raises:
            SpecError: it does not, so that the value could be saved but not loaded.
        """
        name = getattr(value, "__name__", None) or type(value).__name__
        if not isinstance(value, msgspec.Struct) or not isinstance(value.__struct_config__.tag, str):
            raise SpecError(
                f"the {self.kind} {name} cannot be saved, because it is code: make it a class derived from "
                f"msgspec.Struct with frozen=True and tag=True, and register that by an entry point in the group "
                f"{self.group!r}"
            )
        tag = value.__struct_config__.tag
        if tag not in self._built_in and not entry_points(group=self.group, name=tag):
            raise SpecError(
                f"the {self.kind} {name} cannot be saved, because it could not be loaded again: register its class by "
                f"an entry point {tag!r} in the group {self.group!r}"
            )
        if self.find(tag) is not type(value):
            raise SpecError(f"the {self.kind} {name} cannot be saved: its tag {tag!r} belongs to another class")
        return tag

    def _known(self) -> list[str]:
        return [*self._built_in, *sorted(entry_points(group=self.group).names - set(self._built_in))]

    def _load(self, tag: str, offer: EntryPoint) -> type[msgspec.Struct]:
        where = f"{self.kind} {tag!r} of {_package(offer)}"
        try:
            cls = offer.load()
        except Exception as error:
            raise SpecError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
        if not (isinstance(cls, type) and issubclass(cls, msgspec.Struct) and cls.__struct_config__.tag == tag):
            raise SpecError(f"{where} is not usable: {offer.value} must be a msgspec.Struct with tag={tag!r}")
        return cls


def _package(offer: EntryPoint) -> str:
    return f"the package {offer.dist.name}" if offer.dist is not None else offer.value


TRIGGERS = Registry(
    "trigger",
    "aiohooks.triggers",
    [
        AlwaysTrigger, EmptyLabelTrigger, LabelTrigger, ConfidenceTrigger, ObjectCountTrigger, AllOf, AnyOf, Not,
    ],
)  # fmt: skip
"""Triggers that can be saved."""

ACTIONS = Registry(
    "action", "aiohooks.actions", [FileSystemDataCollection, GetiDataCollection, HttpRequestAction, LogAction]
)
"""Actions that can be saved."""

STORES = Registry("store", "aiohooks.stores", [Spool, NatsSpool])
"""Stores for deliveries that can be saved."""
