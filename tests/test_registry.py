"""Where the triggers and actions of a saved hook come from. The packages here are really installed ones."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from installed_package import installed

from aiohooks.errors import SpecError
from aiohooks.hooks.actions import LogAction
from aiohooks.hooks.registry import ACTIONS, TRIGGERS
from aiohooks.hooks.triggers import AlwaysTrigger, LabelTrigger, SyncTrigger

CODE = """
import msgspec
from aiohooks.hooks.triggers import SyncTrigger
from aiohooks.hooks.verdict import Verdict

class DarkTrigger(SyncTrigger, frozen=True, tag=True):
    below: float = 40.0

    def evaluate(self, frame, prediction, /):
        mean = float(frame.image.mean())
        return Verdict(mean < self.below, mean)

class Siren(msgspec.Struct, frozen=True, tag=True):
    seconds: int = 3

    async def __call__(self, event):
        return self.seconds

class NoTag(msgspec.Struct, frozen=True):
    pass

class LabelTrigger(SyncTrigger, frozen=True, tag=True):
    pass

def build():
    return DarkTrigger()
"""

ENTRY_POINTS = """
[aiohooks.triggers]
DarkTrigger = acme_vision:DarkTrigger
LabelTrigger = acme_vision:LabelTrigger
Missing = acme_vision:Missing
Gone = acme_gone:Gone
NoTag = acme_vision:NoTag
OtherName = acme_vision:DarkTrigger
Function = acme_vision:build
[aiohooks.actions]
Siren = acme_vision:Siren
"""


@pytest.fixture
def acme(tmp_path: Path) -> Iterator[None]:
    with installed(tmp_path, "acme_vision", CODE, ENTRY_POINTS):
        yield


def test_built_in_classes_are_found_by_their_name() -> None:
    assert TRIGGERS.find("LabelTrigger") is LabelTrigger
    assert ACTIONS.find("LogAction") is LogAction
    assert TRIGGERS.tag_of(AlwaysTrigger()) == "AlwaysTrigger"


@pytest.mark.usefixtures("acme")
def test_a_package_adds_its_own_by_entry_point() -> None:
    cls: Any = TRIGGERS.find("DarkTrigger")
    assert cls.__module__ == "acme_vision"
    assert TRIGGERS.tag_of(cls(below=3.0)) == "DarkTrigger"
    siren: Any = ACTIONS.find("Siren")
    assert ACTIONS.tag_of(siren()) == "Siren"


@pytest.mark.usefixtures("acme")
def test_no_package_is_imported_before_it_is_asked_for() -> None:
    TRIGGERS.find("LabelTrigger")
    with pytest.raises(SpecError, match="unknown trigger 'Unknown'"):
        TRIGGERS.find("Unknown")
    assert "acme_vision" not in sys.modules
    TRIGGERS.find("DarkTrigger")
    assert "acme_vision" in sys.modules


@pytest.mark.usefixtures("acme")
def test_a_package_cannot_take_a_built_in_name() -> None:
    assert TRIGGERS.find("LabelTrigger") is LabelTrigger
    impostor = importlib.import_module("acme_vision").LabelTrigger()
    with pytest.raises(
        SpecError, match="trigger LabelTrigger cannot be saved: its tag 'LabelTrigger' belongs to another"
    ):
        TRIGGERS.tag_of(impostor)


@pytest.mark.usefixtures("acme")
def test_triggers_and_actions_are_kept_apart() -> None:
    with pytest.raises(
        SpecError, match=r"unknown action 'DarkTrigger'; known are .*, Siren.* group 'aiohooks\.actions'"
    ):
        ACTIONS.find("DarkTrigger")


@pytest.mark.usefixtures("acme")
def test_an_unknown_tag_names_the_known_ones_and_the_way_to_add_one() -> None:
    with pytest.raises(SpecError) as caught:
        TRIGGERS.find("LabelTriger")
    message = str(caught.value)
    assert "unknown trigger 'LabelTriger'; known are AlwaysTrigger, " in message
    assert "Not, DarkTrigger, " in message
    assert "Function, Gone," in message
    assert "entry point of that name in the group 'aiohooks.triggers'" in message


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ("Missing", "cannot be loaded: AttributeError: .*Missing"),
        ("Gone", "cannot be loaded: ModuleNotFoundError: No module named 'acme_gone'"),
        ("NoTag", "is not usable: acme_vision:NoTag must be a msgspec.Struct with tag='NoTag'"),
        ("OtherName", "is not usable: acme_vision:DarkTrigger must be a msgspec.Struct with tag='OtherName'"),
        ("Function", "is not usable: acme_vision:build must be a msgspec.Struct"),
    ],
)
def test_a_broken_entry_point_is_reported_with_its_package_when_it_is_asked_for(tag: str, problem: str) -> None:
    with pytest.raises(SpecError, match=rf"trigger '{tag}' of the package acme_vision {problem}"):
        TRIGGERS.find(tag)


@pytest.mark.usefixtures("acme")
def test_two_packages_that_offer_the_same_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    rival = installed(tmp_path, "acme_rival", CODE, "[aiohooks.triggers]\nDarkTrigger = acme_rival:DarkTrigger\n")
    with rival, pytest.raises(SpecError, match="is offered by the package acme_rival and the package acme_vision"):
        TRIGGERS.find("DarkTrigger")
    assert TRIGGERS.find("DarkTrigger").__module__ == "acme_vision"


@pytest.mark.usefixtures("acme")
def test_one_package_that_is_installed_twice_is_one(tmp_path: Path) -> None:
    with installed(tmp_path / "again", "acme_vision", CODE, ENTRY_POINTS):
        assert TRIGGERS.find("DarkTrigger").__module__ == "acme_vision"


async def is_dark(frame: object, prediction: object) -> bool:
    return True


class Unregistered(SyncTrigger, frozen=True, tag=True):
    pass


class Untagged(msgspec.Struct, frozen=True):
    async def __call__(self, frame: object, prediction: object) -> bool:
        return True


@pytest.mark.parametrize(
    ("trigger", "problem"),
    [
        (
            is_dark,
            "is_dark cannot be saved, because it is code: make it a class .*msgspec.Struct .*'aiohooks.triggers'",
        ),
        (Untagged(), "Untagged cannot be saved, because it is code: .*tag=True"),
        (
            Unregistered(),
            "Unregistered cannot be saved, .*register its class by an entry point 'Unregistered' in the group",
        ),
    ],
)
def test_what_could_not_be_loaded_again_cannot_be_saved(trigger: object, problem: str) -> None:
    with pytest.raises(SpecError, match=rf"the trigger {problem}"):
        TRIGGERS.tag_of(trigger)
