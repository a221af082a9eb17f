"""What came of a run: counting it, and telling it."""

from pathlib import Path

import pytest
from hook_fixtures import LABELS, frame, prediction
from hypothesis import given
from hypothesis import strategies as st
from tqdm.utils import disp_len

from aiohooks.annotation import Label
from aiohooks.cli.names import Names
from aiohooks.cli.report import report
from aiohooks.cli.summary import (
    HookFailure,
    HookFailures,
    HookSummary,
    LabelSummary,
    OutputSummary,
    Summary,
    Tally,
)
from aiohooks.errors import ActionError, FrameError
from aiohooks.hooks.hook import PostInferenceHook
from aiohooks.hooks.outcome import Outcome, OutcomeFeed, OutcomeKind
from aiohooks.hooks.running_hook import HookCounts, RunningHook
from aiohooks.hooks.triggers import AlwaysTrigger
from aiohooks.inference.result import Result
from aiohooks.prediction import Prediction
from aiohooks.text_table import printable, table


def result(found: Prediction) -> Result:
    return Result(0, None, frame(), found)


def summary(**fields: object) -> Summary:
    nothing = {
        "model": "pets", "frames": 0, "failed": 0, "errors": (), "seconds": 2.0, "frames_per_second": 0.0, "nothing": 0,
        "labels": (), "hooks": (), "outputs": (), "ended_early": "",
    }  # fmt: skip
    return Summary(**nothing | fields)


# counting ------------------------------------------------------------------------------------------------------


def test_labels_are_counted_with_their_frames_and_mean_score():
    tally = Tally()
    boxes = [[0, 0, 1, 1], [1, 1, 2, 2], [2, 2, 3, 3]]
    tally.add(result(Prediction.detection((4, 4), LABELS, boxes, [0.5, 1.0, 0.75], ["dog", "dog", "cat"])))
    tally.add(result(prediction(0.75, label=1)))
    assert tally.labels() == (
        LabelSummary(label="dog", frames=2, count=3, mean_score=0.75),
        LabelSummary(label="cat", frames=1, count=1, mean_score=0.75),
    )
    assert (tally.frames, tally.nothing, tally.failed) == (2, 0, 0)


def test_a_frame_with_nothing_counts_as_such_also_where_a_label_says_so():
    no_pet = Label(name="no pet", is_empty=True)
    tally = Tally()
    tally.add(result(Prediction.empty("detection", (4, 4), LABELS)))
    tally.add(result(Prediction.classification((4, 4), [no_pet], [0.9], [0])))
    assert (tally.frames, tally.nothing, tally.labels()) == (2, 2, ())


def test_of_frames_that_failed_the_first_reasons_are_kept():
    tally = Tally()
    for number in range(5):
        tally.add(Result(number, FrameError(f"{number}.png is broken")))
    assert (tally.frames, tally.failed) == (0, 5)
    assert tally.errors == ["0.png is broken", "1.png is broken", "2.png is broken"]


async def act(_event: object) -> None: ...


@pytest.mark.anyio
async def test_of_what_hooks_did_the_reasons_of_failures_are_counted():
    feed, failures = OutcomeFeed(), HookFailures()
    hook = RunningHook(PostInferenceHook(name="upload", trigger=AlwaysTrigger(), action=act), feed)
    outcomes = feed.subscribe()
    full = ActionError("hook upload: the disk is full")
    feed.publish(Outcome("upload", OutcomeKind.DONE, "a.png", 0))
    feed.publish(Outcome("upload", OutcomeKind.FAILED, "b.png", 1, error=full))
    feed.publish(Outcome("upload", OutcomeKind.FAILED, "c.png", 2, error=full))
    feed.publish(Outcome("upload", OutcomeKind.TIMED_OUT, "", 3))
    for number in range(4, 7):
        feed.publish(Outcome("upload", OutcomeKind.TRIGGER_FAILED, "", number, error=ActionError(f"odd {number}")))
    feed.end()
    await failures.follow(outcomes)
    (told,) = failures.summaries([hook])
    assert told.counts is hook.counts
    assert told.failures == (
        HookFailure(reason="the disk is full", count=2, frame="b.png"),
        HookFailure(reason="timed out", count=1, frame="frame 3"),
        HookFailure(reason="odd 4", count=1, frame="frame 4"),
    )


@pytest.mark.parametrize("kind", ["trigger_failed", "failed", "timed_out", "cancelled"])
def test_a_run_is_not_good_when_a_hook_did_not_do_what_it_should(kind: str):
    hook = HookSummary(name="upload", counts=HookCounts(seen=1, **{kind: 1}), failures=())
    assert not summary(hooks=(hook,)).is_good


def test_a_run_is_good_when_hooks_dropped_what_they_may():
    hook = HookSummary(name="upload", counts=HookCounts(seen=2, rate_limited=1, dropped=1, skipped=1), failures=())
    assert summary(hooks=(hook,)).is_good
    assert not summary(failed=1).is_good


# telling -------------------------------------------------------------------------------------------------------


def test_the_report_of_an_eventful_run():
    upload = HookSummary(
        name="upload",
        counts=HookCounts(seen=1200, not_fired=1190, fired=10, done=3, failed=6, timed_out=1),
        failures=(
            HookFailure(reason="the disk is full", count=5, frame="a.png"),
            HookFailure(reason="timed out", count=1, frame="b.png"),
        ),
    )
    log = HookSummary(name="log", counts=HookCounts(seen=1200, fired=1200, done=1200), failures=())
    told = report(
        summary(
            frames=1200,
            failed=5,
            errors=("1.png is broken", "2.png is broken"),
            frames_per_second=600.0,
            nothing=1,
            labels=(
                LabelSummary(label="dog", frames=1100, count=1250, mean_score=0.875),
                LabelSummary(label="猫", frames=1, count=1, mean_score=0.5),
            ),
            hooks=(upload, log),
            outputs=(OutputSummary(path=Path("out"), frames=1200), OutputSummary(path=Path("none"), frames=0)),
            ended_early="interrupted",
        )
    )
    assert (
        "\n".join(told)
        == """\
pets: 1,200 frames in 2.0 s, 600.0 frames/s; interrupted

label       frames   count   mean score
dog           1100    1250         0.88
猫               1       1         0.50
(nothing)        1

5 frames failed:
  1.png is broken
  2.png is broken
  and 3 more

hook     seen   not fired   fired   done   failed   timed out
upload   1200        1190      10      3        6           1
log      1200           0    1200   1200        0           0

the hook upload failed:
  the disk is full (5 times, first on a.png)
  timed out (first on b.png)
  and 1 more

annotated   frames
out           1200"""
    )


def test_the_report_of_a_run_without_events():
    assert report(summary(seconds=0.04)) == ["pets: 0 frames in 0.0 s"]


def test_a_report_tells_all_reasons_that_there_are():
    assert report(summary(failed=1, errors=("a.png is broken",)))[-2:] == ["1 frame failed:", "  a.png is broken"]
    hook = HookSummary(
        name="up", counts=HookCounts(failed=1), failures=(HookFailure(reason="full", count=1, frame="a.png"),)
    )
    assert report(summary(hooks=(hook,)))[-1] == "  full (first on a.png)"


@pytest.mark.parametrize(("more", "ending"), [(0, None), (1, "and 1 more label;"), (2, "and 2 more labels;")])
def test_a_report_keeps_to_the_most_frequent_labels(more: int, ending: str | None):
    labels = tuple(LabelSummary(label=f"#{i}", frames=1, count=1, mean_score=1.0) for i in range(20 + more))
    lines = report(summary(labels=labels))
    assert sum(line.startswith("#") for line in lines) == 20
    assert lines[-1].startswith(ending or "#19")


def test_what_controls_a_terminal_is_shown_instead():
    assert printable("a\x1b[2Jb\nc\x7f é 猫") == "a\\x1b[2Jb\\nc\\x7f é 猫"
    assert report(summary(model="a\nb", errors=("c\x1b",), failed=1)) == [
        "a\\nb: 0 frames in 2.0 s",
        "",
        "1 frame failed:",
        "  c\\x1b",
    ]


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8), st.just("|")), min_size=1))
def test_columns_are_aligned_whatever_is_in_them(rows: list[tuple[str, str, str]]):
    assert len({disp_len(line) for line in table(rows, right=(1,))}) == 1


@given(st.lists(st.sampled_from(["a.png", "A.png", "a-2.png", "b/a.png", "a", "A"])))
def test_names_never_meet(names: list[str]):
    taken = Names()
    given = [taken.take(name) for name in names]
    assert len({name.casefold() for name in given}) == len(names)
    for name, first in zip(names, given, strict=True):
        assert first == name or Path(first).suffix == Path(name).suffix
