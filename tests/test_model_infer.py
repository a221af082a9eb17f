"""A model on the event loop: awaited results, errors that name the frame, and where the work runs."""

import threading
from collections.abc import Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, ClassVar

import anyio
import numpy as np
import pytest
import tiny_models
from loops import on_one_loop
from model_api.models import ClassificationModel
from numpy.typing import NDArray
from tiny_models import picture, plain

from aiohooks.errors import InferenceError, InferQueueClosed, LoadError
from aiohooks.frame import Frame
from aiohooks.inference.model import open_model
from aiohooks.inference.placement import LIMIT_SECONDS, exact_clock
from aiohooks.prediction import Prediction, Task

pytestmark = pytest.mark.anyio

Outputs = Mapping[str, NDArray[Any]]
WHITE = Frame(plain(255, 255, 255), name="white.png", index=7)
RED = Frame(plain(red=200))


def brightest(outputs: Outputs, frame: Frame) -> Prediction:
    means = outputs["means"][0]
    return Prediction.classification((frame.height, frame.width), tiny_models.RGB, [means.max()], [means.argmax()])


async def test_a_frame_goes_in_and_its_prediction_comes_out() -> None:
    async with aclosing(await open_model(tiny_models.detector(), max_requests=2, name="blobs")) as model:
        prediction = await model.infer(Frame(picture(red=(8, 4, 24, 20))))
        assert prediction.boxes.tolist() == [[8, 4, 24, 20]]
        assert (model.name, model.task, model.slots) == ("blobs", Task.DETECTION, 2)
        assert [label.name for label in model.labels] == ["red", "green", "blue"]
        assert model.describe().model_type == "SSD"


async def test_concurrent_frames_of_different_sizes_get_their_own_predictions() -> None:
    found: dict[int, tuple[str, ...]] = {}
    async with aclosing(await open_model(tiny_models.classifier())) as model, anyio.create_task_group() as tasks:

        async def infer(index: int) -> None:
            color = np.eye(3, dtype=np.uint8)[index % 3] * 200
            found[index] = (await model.infer(Frame(plain(*color.tolist(), size=20 + index)))).label_names

        for index in range(40):
            tasks.start_soon(infer, index)
        # The group ends before the model closes.
    assert found == {index: (tiny_models.RGB[index % 3],) for index in range(40)}


@pytest.mark.parametrize("writeable", [True, False])
async def test_pixels_go_in_as_they_are(writeable: bool) -> None:
    image = plain(red=200, size=128)
    image.flags.writeable = writeable
    async with aclosing(await open_model(tiny_models.classifier())) as model:
        assert (await model.infer(Frame(image[::2, ::-1]))).label_names == ("red",)
        assert (await model.infer(Frame(image))).label_names == ("red",)


async def test_a_failed_inference_names_model_and_frame_and_the_next_one_works() -> None:
    async with aclosing(await open_model(tiny_models.failing(), name="fragile")) as model:
        with pytest.raises(
            InferenceError, match=r"^model 'fragile', frame 7 \('white.png'\): OpenVINO failed on this input"
        ):
            await model.infer(WHITE)
        assert (await model.infer(RED)).label_names == ("red",)


async def test_a_closed_model_says_so() -> None:
    model = await open_model(tiny_models.classifier())
    await model.aclose()
    with pytest.raises(InferQueueClosed):
        await model.infer(RED)


async def test_loading_fails_where_it_is_awaited() -> None:
    with pytest.raises(LoadError, match="no such file"):
        await open_model("nowhere.xml")


# decoders


async def test_a_decoder_turns_outputs_into_a_prediction() -> None:
    async with aclosing(
        await open_model(tiny_models.unknown(), decoder=brightest, parameters={"scale_values": [255]})
    ) as model:
        prediction = await model.infer(Frame(plain(green=204, size=30)))
        assert prediction.label_names == ("green",)
        assert prediction.scores[0] == pytest.approx(0.8, abs=1e-2)
        assert (model.task, model.describe().model_type) == (None, "decoder brightest")


async def test_a_decoder_that_raises_is_named_with_its_cause() -> None:
    def decode(outputs: Outputs, frame: Frame) -> Prediction:
        raise KeyError("no such output")

    async with aclosing(await open_model(tiny_models.unknown(), decoder=decode)) as model:
        with pytest.raises(
            InferenceError, match=r"frame 7 \('white.png'\): cannot decode the outputs: KeyError: 'no such output'"
        ) as caught:
            await model.infer(WHITE)
        assert isinstance(caught.value.__cause__, KeyError)


async def test_a_decoder_must_return_a_prediction_of_the_frames_size() -> None:
    class Wrong:
        answer: Any = None

        def __call__(self, outputs: Outputs, frame: Frame) -> Prediction:
            return self.answer

    wrong = Wrong()
    async with aclosing(await open_model(tiny_models.unknown(), decoder=wrong)) as model:
        with pytest.raises(InferenceError, match="Wrong must return a Prediction, it returned NoneType"):
            await model.infer(RED)
        wrong.answer = Prediction.empty(Task.DETECTION, (32, 64), [])
        with pytest.raises(
            InferenceError, match=r"size \(32, 64\); size is \(height, width\) of the frame, here \(64, 64\)"
        ):
            await model.infer(RED)


# where the work runs


def burn(seconds: float) -> None:
    end = exact_clock() + seconds
    while exact_clock() < end:
        pass


async def test_cheap_decoding_starts_in_a_worker_thread_and_moves_to_the_loop() -> None:
    seen: list[int] = []

    def decode(outputs: Outputs, frame: Frame) -> Prediction:
        seen.append(threading.get_ident())
        return Prediction.empty(Task.DETECTION, (frame.height, frame.width), [])

    async with aclosing(await open_model(tiny_models.unknown(), decoder=decode)) as model:
        for _ in range(40):
            await model.infer(RED)
    assert seen[0] != threading.get_ident()
    assert seen[-1] == threading.get_ident()


async def test_dear_decoding_never_runs_on_the_loop() -> None:
    seen: list[int] = []

    def decode(outputs: Outputs, frame: Frame) -> Prediction:
        seen.append(threading.get_ident())
        burn(2 * LIMIT_SECONDS)
        return Prediction.empty(Task.DETECTION, (frame.height, frame.width), [])

    async with aclosing(await open_model(tiny_models.unknown(), decoder=decode)) as model:
        for _ in range(30):
            await model.infer(RED)
    assert threading.get_ident() not in seen


class Traced(ClassificationModel):  # type: ignore[misc]  # model_api is untyped
    """A user's own wrapper, found by its name; it notes the threads that prepare pictures."""

    __model__ = "Traced"
    threads: ClassVar[list[int]] = []
    cost = 0.0

    def base_preprocess(self, inputs: NDArray[np.uint8]) -> Any:
        self.threads.append(threading.get_ident())
        burn(self.cost)
        return super().base_preprocess(inputs)


@pytest.mark.parametrize("cost", [0.0, 2 * LIMIT_SECONDS])
async def test_preprocessing_in_python_runs_on_the_loop_only_while_it_is_cheap(cost: float) -> None:
    Traced.threads, Traced.cost = [], cost
    async with aclosing(await open_model(tiny_models.classifier(dynamic=True), model_type="Traced")) as model:
        for _ in range(40):
            assert (await model.infer(RED)).label_names == ("red",)
    assert Traced.threads[0] != threading.get_ident()
    assert (Traced.threads[-1] == threading.get_ident()) == (cost == 0)


async def test_preprocessing_in_the_graph_needs_no_thread() -> None:
    Traced.threads, Traced.cost = [], 0.0
    async with aclosing(await open_model(tiny_models.classifier(), model_type="Traced")) as model:
        await model.infer(RED)
    assert Traced.threads == [threading.get_ident()]


async def test_a_picture_that_cannot_be_prepared_is_an_error_of_its_frame() -> None:
    async with aclosing(await open_model(tiny_models.classifier(dynamic=True, mean_values="1 2 3 4"))) as model:
        with pytest.raises(InferenceError, match=r"frame 7 \('white.png'\): cannot prepare the picture: ValueError"):
            await model.infer(WHITE)


async def test_waiting_threads_of_others_do_not_delay_an_inference() -> None:
    gate = threading.Event()
    tokens = int(anyio.to_thread.current_default_thread_limiter().total_tokens)
    async with aclosing(await open_model(tiny_models.classifier())) as model, anyio.create_task_group() as tasks:
        for _ in range(tokens):
            tasks.start_soon(anyio.to_thread.run_sync, gate.wait)
        try:
            with anyio.fail_after(10):
                assert (await model.infer(RED)).label_names == ("red",)
        finally:
            gate.set()


@on_one_loop
@pytest.mark.parametrize(
    "make",
    [tiny_models.classifier, partial(tiny_models.classifier, layout="NHWC"), tiny_models.detector, tiny_models.anomaly],
)
@pytest.mark.parametrize("info", [{}, {"reverse_input_channels": True, "mean_values": "10 20 30"}])
async def test_opencv_prepares_the_same_pictures_as_the_graph(make: Any, info: dict[str, Any]) -> None:
    frame = Frame(picture(fill=60, red=(8, 4, 24, 20), green=(30, 10, 50, 60)))
    predictions = []
    for preprocessing in ("graph", "opencv"):
        async with aclosing(await open_model(make(**info), preprocessing=preprocessing)) as model:
            predictions.append(await model.infer(frame))
            assert (model.describe().preprocessing == "in the graph") is (preprocessing == "graph")
    assert predictions[0].label_names == predictions[1].label_names
    np.testing.assert_allclose(predictions[0].scores, predictions[1].scores, atol=1e-3)
    np.testing.assert_array_equal(predictions[0].boxes, predictions[1].boxes)


async def test_an_unknown_way_to_prepare_pictures() -> None:
    with pytest.raises(LoadError, match="preprocessing must be graph or opencv, got 'cv2'"):
        await open_model(tiny_models.classifier(), preprocessing="cv2")


@pytest.mark.parametrize("preprocessing", ["graph", "opencv"])
async def test_pictures_of_one_size(preprocessing: str) -> None:
    picture = tiny_models.picture((48, 80), green=(0, 0, 80, 48))
    options = {"preprocessing": preprocessing, "parameters": {"resize_type": "fit_to_window_letterbox"}}
    async with (
        aclosing(await open_model(tiny_models.detector(), frame_size=(48, 80), **options)) as one,
        aclosing(await open_model(tiny_models.detector(), **options)) as any_size,
    ):
        found, expected = await one.infer(Frame(picture)), await any_size.infer(Frame(picture))
        np.testing.assert_array_equal(found.boxes, expected.boxes)
        assert len(found) == 1
        for _ in range(2):
            with pytest.raises(
                InferenceError, match=r"it is 80×48 .*loaded with frame_size 48×80; leave frame_size out"
            ):
                await one.infer(Frame(np.zeros((80, 48, 3), np.uint8)))
        assert len(await one.infer(Frame(picture))) == 1


@pytest.mark.parametrize("size", [(0, 5), (5,), (1, 2, 3)])
async def test_a_frame_size_that_is_none(size: tuple[int, ...]) -> None:
    with pytest.raises(LoadError, match="frame_size must be height and width"):
        await open_model(tiny_models.classifier(), frame_size=size)
