"""Jobs, frame ranges, settings and media of Supervisely's protocol, without a network."""

import os
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_clock import run_virtual

from aiohooks import Label, SpecError
from aiohooks.errors import InferenceError
from aiohooks.server.refusal import Refusal
from aiohooks.server.supervisely import work
from aiohooks.server.supervisely.frame_range import Wanted, frames_of, read_wanted
from aiohooks.server.supervisely.jobs import Failure, Job, Stage
from aiohooks.server.supervisely.media import Media, id_of
from aiohooks.server.supervisely.settings import Settings, read_settings
from aiohooks.server.supervisely.state import identities, state_of_body, state_of_form
from aiohooks.server.supervisely.work import CLEARED_SECONDS, JobAtWork, Jobs

IDLE_SECONDS = 600.0
LABELS = (Label(name="cat"), Label(name="dog"))


def new_job(**limits: int) -> Job:
    return Job("one", **({"most_results": 8, "most_bytes": 1000} | limits))


def numbers(results: Any) -> list[int]:
    return [msgspec.json.decode(each) for each in results]


def test_a_job_says_how_far_it_is_in_words_that_clients_know() -> None:
    job = new_job()
    assert job.status()["progress"] == {"message": Stage.PREPARING.value, "status": Stage.PREPARING.value,
                                        "current": 0, "total": 1, "is_size": False}  # fmt: skip
    job.upload_bytes, job.received_bytes = 100, 40
    assert job.progress() | {"message": "", "status": ""} == {
        "message": "",
        "status": "",
        "current": 40,
        "total": 100,
        "is_size": True,
    }
    job.begin(3)
    job.add(b"0")
    status = job.status()
    assert (status["stage"], status["is_inferring"], status["finished"]) == ("Running inference...", True, False)
    assert (status["progress"]["current"], status["progress"]["total"], status["pending_results"]) == (1, 3, 1)
    job.add(b"1")
    job.end()
    status = job.status()
    assert (status["stage"], status["is_inferring"], status["finished"]) == ("Finished", False, True)
    assert status["progress"]["total"] == 2  # the file said 3
    assert status["exception"] is None


def test_a_job_that_failed_stays_failed() -> None:
    job = new_job()
    job.begin(3)
    job.fail(Failure("InferenceError", "why"))
    job.end()
    job.fail(Failure("Other", "later"))
    status = job.status()
    assert (status["stage"], status["finished"]) == ("Error", True)
    assert status["exception"] == {"type": "InferenceError", "message": "why", "traceback": ""}


def test_a_job_that_is_stopped_keeps_its_total() -> None:
    job = new_job()
    job.begin(3)
    job.stop()
    job.end()
    status = job.status()
    assert (status["stage"], status["stopped"], status["progress"]["total"]) == ("Cancelled", True, 3)


def test_results_are_kept_until_the_client_has_them() -> None:
    job = new_job()
    for number in range(5):
        job.add(str(number).encode())
    first = job.take(0, most=3, most_bytes=1000)
    assert (numbers(first.results), first.following) == ([0, 1, 2], 3)
    again = job.take(0, most=3, most_bytes=1000)  # the answer was lost
    assert again == first
    rest = job.take(3, most=3, most_bytes=1000)
    assert (numbers(rest.results), rest.following) == ([3, 4], 5)
    assert job.take(5, most=3, most_bytes=1000).results == []
    assert not job.waits_after(5)


def test_results_are_gone_once_taken_where_a_client_does_not_count() -> None:
    job = new_job()
    for number in range(3):
        job.add(str(number).encode())
    assert numbers(job.take(None, most=2, most_bytes=1000).results) == [0, 1]
    assert numbers(job.take(None, most=2, most_bytes=1000).results) == [2]
    assert job.waiting_bytes == 0


@given(
    st.lists(st.one_of(st.just("add"), st.tuples(st.just("take"), st.booleans(), st.integers(1, 4), st.integers(1, 4))))
)
def test_every_result_is_taken_once_and_in_order(steps: list[Any]) -> None:
    job, added, seen = new_job(), 0, []
    for step in steps:
        if step == "add":
            if job.has_room:
                job.add(str(added).encode())
                added += 1
        else:
            _, is_lost, most, most_bytes = step
            taken = job.take(len(seen), most=most, most_bytes=most_bytes)
            assert taken.following == len(seen) + len(taken.results)
            if not is_lost:
                seen += numbers(taken.results)
        assert len(job._waiting) <= 8
    assert seen == list(range(len(seen)))


def test_a_job_has_room_for_so_many_results_and_bytes() -> None:
    job = new_job(most_results=2)
    job.add(b"0")
    assert job.has_room
    job.add(b"1")
    assert not job.has_room
    job.take(None, most=1, most_bytes=1000)
    assert job.has_room
    large = new_job(most_bytes=10)
    large.add(b"x" * 10)
    assert not large.has_room


async def never(_: JobAtWork) -> None:
    await anyio.sleep_forever()


def test_a_job_whose_upload_took_long_is_worked_on() -> None:
    async def main() -> None:
        jobs = Jobs(IDLE_SECONDS)
        await jobs.open()
        at_work = jobs.create()
        await anyio.sleep(IDLE_SECONDS + 1)  # its upload
        jobs.start(at_work, never)
        await anyio.sleep(IDLE_SECONDS - 1)
        assert (len(jobs), at_work.job.has_ended) == (1, False)
        await anyio.sleep(2)
        assert (len(jobs), at_work.job.stage) == (0, Stage.CANCELLED)  # nobody asked to stop it, and it is not done
        await jobs.aclose()

    run_virtual(main)


def test_a_job_that_nobody_asks_for_is_stopped_and_forgotten() -> None:
    async def main() -> None:
        jobs = Jobs(IDLE_SECONDS)
        await jobs.open()
        at_work = jobs.create()
        jobs.start(at_work, never)
        await anyio.sleep(IDLE_SECONDS - 1)
        assert jobs.find(at_work.job.identity) is at_work
        await anyio.sleep(IDLE_SECONDS - 1)
        assert len(jobs) == 1
        await anyio.sleep(2)
        assert len(jobs) == 0
        assert at_work.job.has_ended
        await jobs.aclose()

    run_virtual(main)


def test_a_cleared_job_is_known_for_a_while() -> None:
    async def main() -> None:
        jobs = Jobs(IDLE_SECONDS)
        await jobs.open()
        at_work = jobs.create()

        async def infer(job: JobAtWork) -> None:
            await job.add(b"0")
            await anyio.sleep_forever()

        jobs.start(at_work, infer)
        await anyio.sleep(1)
        at_work.clear()
        await anyio.sleep(1)
        assert (at_work.job.stage, at_work.job.waiting_bytes) == (Stage.CANCELLED, 0)
        await anyio.sleep(CLEARED_SECONDS - 2)
        assert len(jobs) == 1
        await anyio.sleep(2)
        assert len(jobs) == 0
        await jobs.aclose()

    run_virtual(main)


def test_work_waits_while_nobody_takes_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MAX_RESULTS", 2)

    async def main() -> None:
        jobs = Jobs(IDLE_SECONDS)
        await jobs.open()
        at_work = jobs.create()

        async def infer(job: JobAtWork) -> None:
            job.job.begin(5)
            for number in range(5):
                await job.add(str(number).encode())

        jobs.start(at_work, infer)
        seen: list[int] = []
        while True:
            await at_work.wait_for_results(None, 5)
            await anyio.sleep(1)
            assert at_work.job.done <= len(seen) + 2
            taken = numbers(at_work.job.take(None, most=1, most_bytes=1000).results)
            at_work.tell()
            if not taken and at_work.job.has_ended:
                break
            seen += taken
        assert seen == [0, 1, 2, 3, 4]
        await jobs.aclose()

    run_virtual(main)


def test_jobs_that_ended_make_room_and_running_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MAX_JOBS", 2)

    async def main() -> None:
        jobs = Jobs(IDLE_SECONDS)
        await jobs.open()

        async def nothing(_: JobAtWork) -> None:
            pass

        ended, running = jobs.create(), jobs.create()
        jobs.start(ended, nothing)
        jobs.start(running, never)
        await anyio.sleep(0.1)
        third = jobs.create()
        assert jobs.find(ended.job.identity) is None
        jobs.start(third, never)
        with pytest.raises(Refusal, match="there are jobs enough") as raised:
            jobs.create()
        assert raised.value.status == 503
        await jobs.aclose()
        assert running.job.stage is Stage.CANCELLED

    run_virtual(main)


def test_results_that_nobody_fetched_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MAX_LEFT_BYTES", 25)

    async def main() -> None:
        jobs = Jobs(IDLE_SECONDS)
        await jobs.open()

        async def infer(job: JobAtWork) -> None:
            await job.add(b"x" * 10)

        made = []
        for _ in range(4):
            at_work = jobs.create()
            made.append(at_work)
            jobs.start(at_work, infer)
            await anyio.sleep(0.1)
        jobs.create()
        assert [jobs.find(each.job.identity) is not None for each in made] == [False, False, True, True]
        await jobs.aclose()

    run_virtual(main)


def test_an_error_of_the_model_is_told_without_its_inside(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> Job:
        jobs = Jobs(IDLE_SECONDS)
        await jobs.open()
        at_work = jobs.create()

        async def infer(_: JobAtWork) -> None:
            raise InferenceError("secret path")

        jobs.start(at_work, infer)
        await at_work.wait_for_results(None, 5)
        await jobs.aclose()
        return at_work.job

    job = run_virtual(main)
    assert job.failure is not None
    assert job.failure.kind == "InferenceError"
    assert "secret" not in job.failure.message
    assert "secret path" in caplog.text


# which frames ---------------------------------------------------------------------------------------------------


def test_both_generations_of_names_say_which_frames() -> None:
    old = {"startFrameIndex": 3, "framesCount": 4, "framesDirection": "backward", "step": 2}
    new = {"start_frame": 3, "num_frames": 4, "direction": "backward", "stride": 2}
    assert read_wanted(old) == read_wanted(new) == Wanted(start=3, span=4, stride=2, backwards=True)
    assert read_wanted({"startFrameIndex": None, "framesCount": None}) == Wanted()
    assert read_wanted({"end_frame": 9, "duration": 1.5, "stride": 2.0}) == Wanted(end=9, seconds=1.5, stride=2)


@pytest.mark.parametrize(
    "state",
    [
        {"start_frame": -1},
        {"start_frame": "1"},
        {"start_frame": True},
        {"num_frames": 0},
        {"stride": 0},
        {"stride": 1.5},
        {"direction": "up"},
        {"direction": ["forward"]},
        {"duration": 0},
        {"duration": "1"},
        {"start_frame": 10**30},
    ],
)
def test_frames_that_are_none_are_refused(state: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="expected") as raised:
        read_wanted(state)
    assert raised.value.status == 400


@given(
    st.integers(1, 40),
    st.none() | st.integers(0, 39),
    st.none() | st.integers(1, 60),
    st.integers(1, 50),
    st.booleans(),
)
def test_frames_are_those_that_counting_finds(
    total: int, start: int | None, span: int | None, stride: int, backwards: bool
) -> None:
    first = start if start is not None else (total - 1 if backwards else 0)
    wanted = Wanted(start=start, span=span, stride=stride, backwards=backwards)
    if first >= total:
        with pytest.raises(Refusal, match=f"the video has {total} frames"):
            frames_of(wanted, total, 25)
        return
    step = -stride if backwards else stride
    reach = span if span is not None else 1000
    expected = [
        number for number in range(first, first + (-reach if backwards else reach), step) if 0 <= number < total
    ]
    found = list(frames_of(wanted, total, 25))
    assert (found[::-1] if backwards else found) == expected


def test_an_end_or_a_time_says_how_far() -> None:
    assert list(frames_of(Wanted(start=2, end=6), 10, 25)) == [2, 3, 4, 5]
    assert list(frames_of(Wanted(start=6, end=2, backwards=True), 10, 25)) == [3, 4, 5, 6]
    assert list(frames_of(Wanted(seconds=0.2), 10, 25)) == [0, 1, 2, 3, 4]
    assert list(frames_of(Wanted(seconds=0.2), 10, 0)) == [0]
    with pytest.raises(Refusal, match="no frame lies between 6 and 2"):
        frames_of(Wanted(start=6, end=2), 10, 25)


# settings and states --------------------------------------------------------------------------------------------


def test_settings_are_read_and_unknown_ones_ignored() -> None:
    assert read_settings({}, LABELS) == Settings()
    assert read_settings({"settings": {"conf": None, "classes": None, "batch_size": 4}}, LABELS) == Settings()
    assert read_settings({"settings": {"conf_thres": 1, "classes": ["dog"]}}, LABELS) == Settings(
        1.0, frozenset(["dog"])
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([], "settings: expected an object"),
        ({"conf": 2}, "settings.conf: expected a number in 0–1, got 2"),
        ({"conf": "0.5"}, "settings.conf: expected a number in 0–1, got '0.5'"),
        ({"conf": True}, "settings.conf: expected a number"),
        ({"classes": {"a": 1}}, "settings.classes: expected a list of names"),
        ({"classes": ["dog", "cow"]}, "settings.classes: 'cow' is not a class of this model; there are: cat, dog"),
    ],
)
def test_settings_that_are_none_are_refused(settings: object, said: str) -> None:
    with pytest.raises(Refusal, match=said) as raised:
        read_settings({"settings": settings}, LABELS)
    assert raised.value.status == 400


@given(
    st.binary(max_size=30) | st.sampled_from([b"[" * 10_000, b"null", b'{"state": []}', b'{"state": null}', b"\xff"])
)
def test_any_body_is_a_state_or_refused(body: bytes) -> None:
    try:
        state: Any = state_of_body(body)
    except Refusal as refusal:
        state = refusal
    assert isinstance(state, dict) or state.status == 400


def test_a_form_says_its_state_or_else_its_settings() -> None:
    assert state_of_form({}) == {}
    assert state_of_form({"state": b"{}", "settings": b'{"settings": {"conf": 1}}'}) == {"settings": {"conf": 1}}
    assert state_of_form({"state": b'{"a": 1}', "settings": b'{"b": 1}'}) == {"a": 1}
    with pytest.raises(Refusal, match="state: expected an object"):
        state_of_form({"state": b"[1]"})


@pytest.mark.parametrize("ids", [None, [], "12", {"a": 1}, ["1"], [-1], [1.5], [2**70]])
def test_ids_that_are_none_are_refused(ids: object) -> None:
    with pytest.raises(Refusal) as raised:
        identities({"ids": ids}, "ids", most=3)
    assert raised.value.status == 400


def test_ids_may_have_several_names_and_a_limit() -> None:
    assert identities({"b": [1, 2.0]}, "a", "b", most=3) == [1, 2]
    with pytest.raises(Refusal, match="may have 3 ids, got 4") as raised:
        identities({"a": [1, 2, 3, 4]}, "a", most=3)
    assert raised.value.status == 413


# media ----------------------------------------------------------------------------------------------------------


def test_files_have_ids_that_stay(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "sub").mkdir()
        for name in ("b.JPG", "sub/a.png", "v.mp4", "notes.txt", ".hidden.png"):
            (tmp_path / name).touch()
        media = Media(tmp_path)
        assert [each.name for each in await media.all()] == ["b.JPG", "sub/a.png", "v.mp4"]
        picture = await media.picture(id_of("sub/a.png"))
        assert (picture.name, picture.path) == ("sub/a.png", (tmp_path / "sub/a.png").resolve())
        assert (await media.video(id_of("v.mp4"))).is_video
        for ask, identity in [(media.video, id_of("b.JPG")), (media.picture, id_of("v.mp4")), (media.picture, 7)]:
            with pytest.raises(Refusal, match="there is no") as raised:
                await ask(identity)
            assert raised.value.status == 404
        (tmp_path / "new.png").touch()
        await anyio.sleep(2)
        assert (await media.picture(id_of("new.png"))).name == "new.png"
        (tmp_path / "new.png").unlink()
        await anyio.sleep(2)
        with pytest.raises(Refusal):
            await media.picture(id_of("new.png"))

    run_virtual(main)


def test_links_do_not_lead_out_of_a_folder(tmp_path: Path) -> None:
    async def main() -> None:
        inside = tmp_path / "inside"
        inside.mkdir()
        (tmp_path / "secret.png").touch()
        (inside / "link.png").symlink_to(tmp_path / "secret.png")
        (inside / "own.png").touch()
        (inside / "again.png").symlink_to(inside / "own.png")
        assert [each.name for each in await Media([inside]).all()] == ["again.png", "own.png"]

    run_virtual(main)


def test_ids_may_be_given(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "a.png").touch()
        media = Media({12: tmp_path / "a.png", 13: os.fspath(tmp_path / "gone.png")})
        assert (await media.picture(12)).name == "a.png"
        for identity in (13, 14):
            with pytest.raises(Refusal, match=f"no picture of id {identity}"):
                await media.picture(identity)

    run_virtual(main)


@pytest.mark.parametrize("sources", [{"a": "b"}, {-1: "b"}, {True: "b"}, ["/no/such/folder"], "/no/such/folder"])
def test_media_that_are_none_are_refused(sources: Any) -> None:
    with pytest.raises(SpecError, match="media: "):
        Media(sources)
