"""Pictures of a dataset of a Geti server as a source of frames, and OOD models that are fitted on them."""

import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import ood_fixtures as pictures
import pytest
import tiny_models
from aiohttp import web
from docs_surroundings import normal_pictures
from fake_geti import TOKEN, FakeGeti, Trouble, serving
from ood_fixtures import normal

import aiohooks as ah
from aiohooks.backoff import Backoff
from aiohooks.cli import main
from aiohooks.clients.geti import workspace_access
from aiohooks.errors import FrameError, RemoteError, SessionError
from aiohooks.monitors.ood.fit import training_arrays

pytestmark = pytest.mark.anyio
COLOURS = ("red", "green", "blue")


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_access, "Backoff", partial(Backoff, 0.002, 0.02))


@pytest.fixture
async def geti() -> AsyncIterator[FakeGeti]:
    async with serving() as fake:
        yield fake


@pytest.fixture
async def client(geti: FakeGeti) -> AsyncIterator[ah.GetiClient]:
    async with ah.GetiClient(geti.url, token=TOKEN, timeout=5, connect_timeout=5) as opened:
        yield opened


def filled(geti: FakeGeti, count: int, *, seed: int = 0, dataset: str = "Dataset") -> list[dict[str, Any]]:
    """Fill a dataset of the project ``colours``."""
    return geti.fill("colours", {dataset: normal_pictures(count, seed)})


async def read(source: ah.FrameSource) -> list[ah.Frame | str]:
    """Return the frames; for those that cannot be read, what the error says."""
    frames, seen = aiter(source), []
    while True:
        try:
            seen.append(await anext(frames))
        except FrameError as error:
            seen.append(str(error))
        except StopAsyncIteration:
            return seen


async def test_pictures_come_in_their_order_as_often_as_wanted(geti: FakeGeti, client: ah.GetiClient) -> None:
    geti.page_size = 4
    filled(geti, 11)
    source = ah.geti_dataset(client, "colours")
    for _ in range(2):
        frames = [frame async for frame in source]
        assert [(frame.name, frame.index) for frame in frames] == [(f"picture {i}", i) for i in range(11)]
    for frame, pixels in zip(frames, normal(11), strict=True):
        np.testing.assert_array_equal(frame.image, pixels)
    assert frames[0].context.label_names is None
    assert not any("annotations" in call for call in geti.seen)


async def test_only_annotated_pictures_have_labels(geti: FakeGeti, client: ah.GetiClient) -> None:
    added = filled(geti, 9)
    geti.label(added[1], "green", "red", "green")
    del geti.annotations[added[4]["id"]]
    geti.annotations[added[5]["id"]] = []
    geti.annotations[added[6]["id"]][0]["labels"][0]["id"] = "deleted"
    project = await client.project("colours")
    frames = [frame async for frame in ah.geti_dataset(client, project, await client.dataset(project), labelled=True)]
    assert [frame.context.label_names for frame in frames] == [
        ("red",), ("green", "red"), ("blue",), ("red",), ("deleted",), ("green",), ("blue",)
    ]  # fmt: skip
    assert [frame.index for frame in frames] == list(range(7))
    assert [frame.name[-1] for frame in frames] == list("0123678")


async def test_a_picture_that_cannot_be_had_fails_alone(geti: FakeGeti, client: ah.GetiClient) -> None:
    added = filled(geti, 6)
    del geti.contents[added[1]["id"]]
    geti.contents[added[3]["id"]] = b"no picture"
    geti.contents[added[4]["id"]] += bytes(5000)
    seen = await read(ah.geti_dataset(client, "colours", max_bytes=5000))
    assert [each if isinstance(each, str) else each.index for each in seen] == [
        0, seen[1], 2, seen[3], "picture 'picture 4' is larger than 5000 bytes", 5
    ]  # fmt: skip
    assert "picture 'picture 1' cannot be had from Geti: " in str(seen[1])
    assert "picture 3" in str(seen[3])


async def test_a_server_that_refuses_ends_it(geti: FakeGeti, client: ah.GetiClient) -> None:
    added = filled(geti, 9)
    geti.trouble = lambda request: Trouble("status", 403) if f"/{added[5]['id']}/" in request.path else None
    frames = aiter(ah.geti_dataset(client, "colours", read_ahead=2))
    assert [(await anext(frames)).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RemoteError, match="answered 403"):
        await anext(frames)
    with pytest.raises(StopAsyncIteration):
        await anext(frames)


async def test_what_is_not_there_is_told(client: ah.GetiClient, geti: FakeGeti) -> None:
    filled(geti, 1)
    with pytest.raises(SessionError, match="the workspace has no project 'cats'"):
        await anext(aiter(ah.geti_dataset(client, "cats")))
    with pytest.raises(SessionError, match="project 'colours' has no dataset 'more'"):
        await anext(aiter(ah.geti_dataset(client, "colours", "more")))
    with pytest.raises(SessionError, match="is not open"):
        await anext(aiter(ah.geti_dataset(ah.GetiClient(geti.url, token=TOKEN), "colours")))
    with pytest.raises(ValueError, match="read_ahead must be 0 or more"):
        ah.geti_dataset(client, "colours", read_ahead=-1)


@pytest.mark.parametrize("where", ["media:query", "display/full", "annotations/latest"])
async def test_cancelling_loses_no_picture_and_leaves_nothing_running(
    geti: FakeGeti, client: ah.GetiClient, where: str
) -> None:
    filled(geti, 9)
    geti.page_size = 3
    frames = aiter(ah.geti_dataset(client, "colours", labelled=True, read_ahead=1))
    seen = [await anext(frames) for _ in range(2)]
    waits = anyio.Event()

    def trouble(request: web.Request) -> Trouble | None:
        if where in request.path:
            waits.set()
            return Trouble("wait")
        return None

    geti.trouble = trouble
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anext, frames)
        await waits.wait()
        tasks.cancel_scope.cancel()
    geti.trouble = lambda _: None
    geti.release.set()
    while len(seen) < 9:
        seen.append(await anext(frames))
    assert [frame.name[-1] for frame in seen] == list("012345678")
    await frames.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(frames)


async def test_so_many_are_asked_for_at_once_and_no_more_is_in_memory(geti: FakeGeti, client: ah.GetiClient) -> None:
    filled(geti, 12)
    frames = aiter(ah.geti_dataset(client, "colours", read_ahead=3))
    for wanted in (4, 4, 4, 4, 8):
        await anext(frames)
        assert sum("display/full" in call for call in geti.seen) == wanted
    assert geti.most_open <= 4


async def test_an_ood_model_is_fitted_on_a_project(geti: FakeGeti, client: ah.GetiClient) -> None:
    filled(geti, 6)
    filled(geti, 3, seed=1, dataset="held out")
    async with pictures.deployment() as deployment:
        arrays = await training_arrays(
            deployment,
            ah.geti_dataset(client, "colours", labelled=True),
            calibration=ah.geti_dataset(client, "colours", "held out"),
            class_of=lambda frame: frame.context.label_names[0],
        )
        wanted = await training_arrays(deployment, normal(6), calibration=normal(3, 1))
    np.testing.assert_array_equal(arrays["features"], wanted["features"])
    np.testing.assert_array_equal(arrays["calibration"][0], wanted["calibration"][0])
    assert (arrays["class_names"], arrays["labels"].tolist()) == (list(COLOURS), [0, 1, 2] * 2)
    assert arrays["names"] == [f"picture {i}" for i in range(6)]


async def test_the_command_line_fits_on_a_project(
    geti: FakeGeti, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unlabelled = filled(geti, 91)[-1]
    del geti.annotations[unlabelled["id"]]
    filled(geti, 60, seed=1, dataset="held out")
    tiny_models.save(pictures.model(), tmp_path / "colours.xml")
    monkeypatch.setenv("GETI_HOST", geti.url)
    monkeypatch.setenv("GETI_TOKEN", TOKEN)
    fit = ["ood", "fit", str(tmp_path / "colours.xml"), "-o", str(tmp_path / "colours.ood")]
    from_geti = ["--geti-project", "colours", "--geti-dataset", "Dataset", "--geti-calibration", "held out"]
    assert await anyio.to_thread.run_sync(main, [*fit, *from_geti]) == 0
    assert re.search("calibrated on +45 pictures", capsys.readouterr().out)
    model = ah.OODModel.load(tmp_path / "colours.ood")
    assert set(model._facts["class_names"]) == set(COLOURS)
    assert len(model._facts["names"]) == 90


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "name pictures, or --geti-project, and not both"),
        (["a.png", "--geti-project", "colours"], "name pictures, or --geti-project, and not both"),
        (["a.png", "--geti-dataset", "Dataset"], "are of a --geti-project"),
        (
            ["--geti-project", "colours", "--calibration", "a.png", "--geti-calibration", "held out"],
            "--calibration or --geti-calibration, not both",
        ),
    ],
)
def test_what_cannot_be_meant_is_told(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ood", "fit", "model.xml", "-o", "model.ood", *given]) == 2
    assert message in capsys.readouterr().err
