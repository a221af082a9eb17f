import math

import pytest

from aiohooks import AlwaysTrigger, LogAction, PostInferenceHook, SpecError


async def act(event: object) -> None:
    return None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"trigger": "LabelTrigger"}, "trigger must be callable, got str"),
        ({"trigger": AlwaysTrigger}, r"trigger is the class AlwaysTrigger; make one of it: AlwaysTrigger\(…\)"),
        ({"action": None}, "action must be callable, got NoneType"),
        ({"max_concurrency": 0}, r"PostInferenceHook\.max_concurrency: Expected int >= 1, got 0"),
        ({"max_pending": 0}, r"PostInferenceHook\.max_pending: Expected int >= 1"),
        ({"max_pending_bytes": 0}, r"PostInferenceHook\.max_pending_bytes: Expected int >= 1"),
        (
            {"overflow": "wait"},
            r"PostInferenceHook\.overflow: Invalid enum value 'wait'; expected block or drop_newest or drop_oldest",
        ),
        ({"timeout": 0}, r"PostInferenceHook\.timeout: Expected"),
        ({"timeout": math.inf}, r"PostInferenceHook\.timeout: write None to wait for ever"),
        ({"rate": 10}, r"PostInferenceHook\.rate"),
    ],
)
def test_values_that_make_no_sense(fields: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        PostInferenceHook(**({"trigger": AlwaysTrigger(), "action": act} | fields))


def test_a_title_is_made_from_its_parts() -> None:
    assert PostInferenceHook(trigger=AlwaysTrigger(), action=act).title == "AlwaysTrigger → act"
    assert PostInferenceHook(trigger=AlwaysTrigger(), action=LogAction(), name="all").title == "all"
