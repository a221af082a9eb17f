"""Chains of models: in virtual time with models that are made up, and on a stream of real ones."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import anyio
import geti_project
import numpy as np
import pytest
import tiny_models
from geti_project import Task
from inferring import F32
from virtual_clock import run_virtual

from aiohooks import Deployment
from aiohooks.annotation import Label
from aiohooks.errors import InferenceError, InferQueueClosed
from aiohooks.frame import Frame
from aiohooks.inference.chain import Chain, Step
from aiohooks.inference.model import Model
from aiohooks.prediction import Prediction

SIZE = (100, 100)
Answer = Callable[[Frame], Prediction]


class Pretender:
    """A model that answers by a function, after a second, in as many slots as it has."""

    def __init__(self, name: str, answer: Answer, *, slots: int = 2, log: list[str] | None = None) -> None:
        self.name = name
        self.labels = (Label(name=f"{name} label"),)
        self.slots = slots
        self.explains = False
        self.running = 0
        self.most_running = 0
        self.finished = 0
        self.seen: list[tuple[int, ...]] = []
        self._answer = answer
        self._log = log if log is not None else []

    async def infer(self, frame: Frame) -> Prediction:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.seen.append(frame.image.shape[:2])
        try:
            await anyio.sleep(1)
            prediction = self._answer(frame)
            self.finished += 1
            return prediction
        finally:
            self.running -= 1

    def fail_waiting(self) -> None:
        self._log.append(f"fail waiting of {self.name}")

    async def aclose(self) -> None:
        self._log.append(f"close {self.name}")
        if self.name == "broken":
            raise RuntimeError("cannot close")


def finds(name: str, *boxes: tuple[int, int, int, int]) -> Answer:
    labels = (Label(name=f"{name} label"),)
    return lambda frame: Prediction.detection(
        (frame.height, frame.width), labels, np.array(boxes).reshape(-1, 4), [0.5] * len(boxes), [0] * len(boxes)
    )


def labels_as(name: str) -> Answer:
    labels = (Label(name=f"{name} label"),)
    return lambda frame: Prediction.classification((frame.height, frame.width), labels, [0.75], [0])


def chain(*models: Pretender) -> Chain:
    return Chain("chained", [Step(cast(Model, model), model.name.startswith("cls")) for model in models])


def frame(index: int = 0) -> Frame:
    return Frame(np.zeros((*SIZE, 3), np.uint8), f"{index}.png", index, owned=True)


def names(prediction: Prediction) -> list[tuple[str, ...]]:
    return [annotation.label_names for annotation in prediction.annotations]


def virtual(main: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await main()

    run_virtual(run)


def test_detect_detect_classify() -> None:
    async def main() -> None:
        first = Pretender("first", finds("first", (0, 0, 50, 50), (50, 50, 100, 100)))
        second = Pretender("second", finds("second", (10, 10, 20, 30)))
        last = Pretender("cls", labels_as("cls"))
        prediction = await chain(first, second, last).infer(frame())
        assert names(prediction) == [("first label",)] * 2 + [("second label", "cls label")] * 2
        assert prediction.boxes.tolist()[2:] == [[10, 10, 20, 30], [60, 60, 70, 80]]
        assert (first.seen, second.seen, last.seen) == ([SIZE], [(50, 50)] * 2, [(20, 10)] * 2)

    virtual(main)


def test_a_model_behind_one_that_labels_gets_the_same_crops() -> None:
    async def main() -> None:
        models = [
            Pretender("first", finds("first", (0, 0, 40, 60))),
            Pretender("cls", labels_as("cls")),
            Pretender("cls2", labels_as("cls2")),
            Pretender("last", finds("last", (1, 1, 3, 4))),
        ]
        prediction = await chain(*models).infer(frame())
        assert names(prediction) == [("first label", "cls label", "cls2 label"), ("last label",)]
        assert [model.seen for model in models[1:]] == [[(60, 40)]] * 3

    virtual(main)


def test_without_boxes_nothing_more_runs() -> None:
    async def main() -> None:
        last = Pretender("cls", labels_as("cls"))
        prediction = await chain(Pretender("first", finds("first")), last).infer(frame())
        assert len(prediction) == 0
        assert [label.name for label in prediction.labels] == ["first label", "cls label"]
        assert last.seen == []
        middle = Pretender("second", finds("second"))
        prediction = await chain(Pretender("first", finds("first", (0, 0, 9, 9))), middle, last).infer(frame())
        assert names(prediction) == [("first label",)]
        assert (len(middle.seen), last.seen) == (1, [])

    virtual(main)


def test_crops_go_through_a_model_as_many_at_once_as_it_runs() -> None:
    async def main() -> None:
        boxes = [(i % 100, i // 100, i % 100 + 1, i // 100 + 1) for i in range(1000)]
        last = Pretender("cls", labels_as("cls"), slots=4)
        start = asyncio.get_running_loop().time()
        prediction = await chain(Pretender("first", finds("first", *boxes)), last).infer(frame())
        assert asyncio.get_running_loop().time() - start == pytest.approx(1 + 1000 / 4)
        assert last.most_running == 4
        assert names(prediction) == [("first label", "cls label")] * 1000
        assert set(last.seen) == {(1, 1)}

    virtual(main)


def test_frames_go_through_a_chain_at_once() -> None:
    async def main() -> None:
        first, last = Pretender("first", finds("first", (0, 0, 9, 9))), Pretender("cls", labels_as("cls"))
        chained = chain(first, last)
        start = asyncio.get_running_loop().time()
        async with anyio.create_task_group() as tasks:
            for i in range(5):
                tasks.start_soon(chained.infer, frame(i))
        assert asyncio.get_running_loop().time() - start == pytest.approx(2)
        assert (first.most_running, last.most_running) == (5, 5)

    virtual(main)


def test_a_model_goes_on_with_the_next_frame_while_the_one_behind_it_runs() -> None:
    async def main() -> None:
        first, last = Pretender("first", finds("first", (0, 0, 9, 9))), Pretender("cls", labels_as("cls"))
        chained = chain(first, last)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(chained.infer, frame(0))
            await anyio.sleep(1.25)
            assert (first.running, last.running) == (0, 1)
            tasks.start_soon(chained.infer, frame(1))
            await anyio.sleep(0.25)
            assert (first.running, last.running) == (1, 1)

    virtual(main)


def test_frames_of_a_stream_go_through_a_chain_at_once() -> None:
    async def main() -> None:
        first, last = Pretender("first", finds("first", (0, 0, 9, 9))), Pretender("cls", labels_as("cls"))

        async def opened() -> Chain:
            return chain(first, last)

        frames = [frame(i) for i in range(20)]
        async with Deployment("chained", opened) as deployment, deployment.stream(frames, max_in_flight=4) as results:
            indices = [result.frame.index async for result in results]
        assert indices == list(range(20))
        assert (first.most_running, last.most_running) == (4, 4)

    virtual(main)


def test_the_crop_that_fails_is_named_and_ends_the_others() -> None:
    def answer(cut: Frame) -> Prediction:
        if cut.width == 20:
            raise InferenceError("model 'cls', frame 3 ('3.png'): out of memory")
        return labels_as("cls")(cut)

    async def main() -> None:
        boxes = [(0, 0, 10, 10), (5, 6, 25, 16), *[(0, 0, 10, 10)] * 50]
        last = Pretender("cls", answer)
        made = chain(Pretender("first", finds("first", *boxes)), last)
        message = r"task 'cls', crop 2 of 52 \(20×10 at 5, 6\): model 'cls', frame 3 \('3\.png'\): out of memory"
        with pytest.raises(InferenceError, match=message):
            await made.infer(frame(3))
        assert last.running == 0
        assert len(last.seen) <= 4
        with pytest.raises(InferenceError, match=r"crop 1 of 1 \(20×9 at 0, 0\)"):
            await chain(Pretender("first", finds("first", (0, 0, 20, 9))), last).infer(frame(3))
        assert len((await chain(Pretender("first", finds("first", (0, 0, 9, 9))), last).infer(frame())).scores) == 2

    virtual(main)


@pytest.mark.parametrize("error", [InferQueueClosed("closed"), RuntimeError("a bug")])
@pytest.mark.parametrize("count", [1, 3])
def test_other_errors_stay_what_they_are(error: Exception, count: int) -> None:
    def answer(_: Frame) -> Prediction:
        raise error

    async def main() -> None:
        made = chain(Pretender("first", finds("first", *[(0, 0, 9, 9)] * count)), Pretender("cls", answer))
        with pytest.raises(type(error), match=str(error)) as caught:
            await made.infer(frame())
        assert caught.value is error

    virtual(main)


def test_nothing_runs_on_when_it_is_cancelled() -> None:
    async def main() -> None:
        last = Pretender("cls", labels_as("cls"))
        made = chain(Pretender("first", finds("first", *[(0, 0, 9, 9)] * 10)), last)
        with anyio.move_on_after(2.5) as scope:
            await made.infer(frame())
        assert scope.cancelled_caught
        assert (last.running, last.finished, len(last.seen)) == (0, 2, 4)
        before = len(asyncio.all_tasks())
        await anyio.sleep(60)
        assert (len(last.seen), len(asyncio.all_tasks()), before) == (4, 1, 1)

    virtual(main)


def test_it_is_closed_from_the_first_to_the_last_whatever_fails() -> None:
    async def main() -> None:
        log: list[str] = []
        answer = finds("any")
        made = chain(*(Pretender(name, answer, log=log) for name in ("a", "broken", "c")))
        made.fail_waiting()
        with pytest.raises(RuntimeError, match="cannot close"):
            await made.aclose()
        assert log == ["fail waiting of a", "close a", "close broken", "close c"]

    virtual(main)


# with models of OpenVINO


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Animals, in them parts, of which the colour is told."""
    return geti_project.write(
        tmp_path_factory.mktemp("chain"),
        Task("Animals", tiny_models.detector(xai=True), ("cat", "dog", "bird")),
        Task("Parts", tiny_models.detector(), ("head", "tail", "paw"), empty="No part"),
        Task("Colours", tiny_models.classifier(), empty="No colour"),
    )


def animal(x: int, y: int) -> np.ndarray[Any, Any]:
    """A cat of 32×32 with a tail of 12×8, 4 right and 6 below its corner."""
    return tiny_models.picture(red=(x, y, x + 32, y + 32), green=(x + 4, y + 6, x + 16, y + 14))


EXPECTED = [("cat",), ("dog",), ("head", "red"), ("tail", "green"), ("head", "green"), ("tail", "green")]


@pytest.mark.anyio
async def test_a_project_of_three_tasks(folder: Path) -> None:
    async with Deployment.load(folder, config=F32) as deployment:
        prediction = await deployment.infer(animal(10, 20))
        # The green on red is a dog on a cat; a crop of the cat has both, the crop of the dog too.
        assert names(prediction) == EXPECTED
        assert prediction.boxes.tolist() == [
            [10, 20, 42, 52], [14, 26, 26, 34], [10, 20, 42, 52], [14, 26, 26, 34], [14, 26, 26, 34], [14, 26, 26, 34],
        ]  # fmt: skip
        red = np.exp(10 * 230 / 255)
        only_red = 12 * 8 / 32**2
        green = np.exp(10 * 230 / 255 * only_red)
        assert prediction.annotations[2].labels[1].probability == pytest.approx(red / (red + green + 1), abs=1e-3)
        assert prediction.annotations[3].labels[1].probability == pytest.approx(red / (2 * red + 1), abs=1e-3)
        assert [label.name for label in deployment.labels if label.is_empty] == ["Nothing", "No part", "No colour"]
        assert prediction.labels == deployment.labels
        assert prediction.feature_vector is not None

        nothing = await deployment.infer(tiny_models.plain())
        assert len(nothing) == 0
        assert [a["labels"][0]["name"] for a in nothing.to_geti()["annotations"]] == ["Nothing"]


def test_a_stream_gives_the_same_in_order(folder: Path) -> None:
    frames = [Frame(animal(i % 30, (7 * i) % 30), index=i, owned=True) for i in range(200)]

    async def main() -> None:
        async with Deployment.load(folder, config=F32) as deployment:
            one_by_one = [(await deployment.infer(frame)).to_geti() for frame in frames]
            async with deployment.stream(frames) as results:
                streamed = [result async for result in results]
        assert [result.frame.index for result in streamed] == list(range(200))
        assert [result.prediction.to_geti() for result in streamed] == one_by_one
        assert len({str(prediction) for prediction in one_by_one}) == 30

    asyncio.run(main())


@pytest.mark.anyio
async def test_a_task_that_fails_is_a_result_and_the_stream_goes_on(tmp_path: Path) -> None:
    geti_project.write(
        tmp_path,
        Task("Animals", tiny_models.detector(), ("cat", "dog", "bird")),
        Task("Colours", tiny_models.failing()),
    )
    white = np.full((64, 64, 3), 255, np.uint8)
    async with Deployment.load(tmp_path, config=F32) as deployment:
        async with deployment.stream([animal(0, 0), white, animal(5, 5)]) as results:
            found = [result async for result in results]
        assert [result.ok for result in found] == [True, False, True]
        assert str(found[1].error).startswith("task 'Colours', crop ")
        assert "of 3 (64×64 at 0, 0): model 'Colours', frame 1: " in str(found[1].error)


@pytest.mark.anyio
async def test_nothing_is_left_when_a_stream_is_left(folder: Path) -> None:
    async with Deployment.load(folder, config=F32) as deployment:
        async with deployment.stream(animal(i % 30, 0) for i in range(1000)) as results:
            async for _ in results:
                break
        await deployment.drained()
        assert len(await deployment.infer(animal(0, 0))) == 6
