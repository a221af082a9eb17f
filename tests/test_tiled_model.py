"""Models on tiles: the same predictions as Model API's tilers, at once, bounded, and nothing left behind."""

import threading
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import openvino as ov
import pytest
import tiny_models
from inferring import F32
from loops import on_one_loop
from model_api.models import SegmentationModel
from model_api_tiles import model_api_tiler
from numpy.typing import NDArray
from tiny_models import picture

from aiohooks.deployment import Deployment
from aiohooks.errors import InferenceError, InferQueueClosed, LoadError
from aiohooks.frame import Frame
from aiohooks.inference import outlines, tile_objects
from aiohooks.inference.model import Model, open_model
from aiohooks.inference.model_loading import load_model
from aiohooks.inference.tile_findings import Explained
from aiohooks.inference.tiling import Tiling
from aiohooks.prediction import Prediction, Task

pytestmark = pytest.mark.anyio

PICTURES = {
    "no multiple of the tile": picture(
        (150, 200), red=(20, 30, 50, 60), green=(70, 5, 90, 140), blue=(100, 90, 180, 140)
    ),
    "smaller than a tile": picture((40, 50), red=(8, 4, 24, 20), blue=(20, 25, 40, 38)),
    "one tile": picture(64, red=(8, 4, 24, 20)),
    "flat": picture((20, 300), red=(50, 5, 80, 15), green=(120, 0, 140, 20)),
    "empty": picture((100, 130)),
    "noise": np.random.default_rng(5).integers(0, 256, (130, 97, 3), np.uint8) // 2 + 40,
}
WAYS: list[dict[str, Any]] = [
    {"tiles_overlap": 0.5},
    {"tiles_overlap": 0, "tile_with_full_img": False},
    {"tiles_overlap": 0.2, "max_pred_number": 3, "iou_threshold": 0.2},
    {"tiles_overlap": 0.5, "tile_with_full_img": False, "tile_size": 50},
]

ROW: dict[str, Any] = {"tile_size": 64, "tiles_overlap": 0, "tile_with_full_img": False}


async def predict(model: ov.Model, image: NDArray[np.uint8], **options: Any) -> Prediction:
    async with aclosing(await open_model(model, config=F32, **options)) as opened:
        assert opened.describe().tiling is not None
        return await opened.infer(Frame(image))


@on_one_loop
@pytest.mark.parametrize("way", WAYS)
async def test_boxes_are_those_of_model_api(way: dict[str, Any], tmp_path: Path) -> None:
    model = tiny_models.detector(xai=True, **{"tile_size": 64} | way)
    tiler = model_api_tiler(model, tmp_path / "model.xml")
    async with aclosing(await open_model(model, config=F32)) as opened:
        for image in PICTURES.values():
            expected, found = tiler(image), await opened.infer(Frame(image))
            assert found.boxes.tolist() == expected.bboxes.tolist()
            assert found.label_indices.tolist() == expected.labels.tolist()
            np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
            assert found.feature_vector is not None
            vector = expected.feature_vector.reshape(-1)
            np.testing.assert_allclose(found.feature_vector, vector, rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(found.saliency_maps, expected.saliency_map[0])


@on_one_loop
@pytest.mark.parametrize("way", WAYS)
async def test_masks_are_those_of_model_api(way: dict[str, Any], tmp_path: Path) -> None:
    model = tiny_models.instance_segmenter(**{"tile_size": 64} | way)
    tiler = model_api_tiler(model, tmp_path / "model.xml")
    async with aclosing(await open_model(model, config=F32)) as opened:
        for image in PICTURES.values():
            expected, found = tiler(image), await opened.infer(Frame(image))
            kept = [index for index, mask in enumerate(expected.masks) if outlines.largest_outline(mask) is not None]
            assert found.boxes.tolist() == expected.bboxes[kept].tolist()
            assert found.label_indices.tolist() == (expected.labels.reshape(-1)[kept] - 1).tolist()
            np.testing.assert_allclose(found.scores, expected.scores.reshape(-1)[kept], rtol=1e-6)
            assert found.masks is not None
            assert found.masks.shape == (len(kept), *image.shape[:2])
            for mask, index in zip(found.masks, kept, strict=True):
                np.testing.assert_array_equal(mask, expected.masks[index])


@on_one_loop
@pytest.mark.parametrize("way", WAYS)
async def test_label_maps_are_those_of_model_api(way: dict[str, Any], tmp_path: Path) -> None:
    model = tiny_models.segmenter(xai=True, **{"tile_size": 64} | way)
    # Its tiler wants a label for the background, which models do not name.
    tiler = model_api_tiler(model, tmp_path / "model.xml", labels=["background", *tiny_models.RGB])
    async with aclosing(await open_model(model, config=F32)) as opened:
        for name, image in PICTURES.items():
            expected, found = tiler(image), await opened.infer(Frame(image))
            np.testing.assert_array_equal(found.label_map, expected.resultImage)
            contours = SegmentationModel.get_contours(SimpleNamespace(get_label_name=int), expected)
            known = {line.shape.reshape(-1, 2).tobytes(): (line.label, line.probability) for line in contours}
            assert found.polygons is not None
            assert bool(found.polygons) == (name != "empty")
            for polygon, label, score in zip(found.polygons, found.label_indices, found.scores, strict=True):
                assert polygon is not None
                assert known[polygon.astype(np.int32).tobytes()] == (label, pytest.approx(score, rel=1e-5))
            assert found.feature_vector is not None
            assert found.feature_vector.shape == (48,)


async def test_rotated_boxes_are_around_the_masks_of_the_picture() -> None:
    image = np.zeros((100, 160, 3), np.uint8)
    for step in range(50):
        image[20 + step : 30 + step, 40 + step, 0] = 230  # a bar at 45 degrees
    options = {"parameters": {"tile_size": 120, "tiles_overlap": 0.25, "tile_with_full_img": False}}
    found = await predict(tiny_models.rotated_detector(), image, **options)
    masks = await predict(tiny_models.instance_segmenter(), image, **options)
    assert found.task is Task.ROTATED_DETECTION
    assert found.masks is None
    assert masks.polygons is not None
    expected = [outlines.rotated_box_around(line.astype(np.int32)) for line in masks.polygons]  # type: ignore[union-attr]
    np.testing.assert_allclose(found.rotated_boxes, expected)
    assert found.rotated_boxes[0, 4] == pytest.approx(45, abs=3)  # type: ignore[index]


async def test_an_object_on_a_border_between_tiles_is_found_once_and_whole() -> None:
    image = picture((64, 160), red=(55, 20, 75, 40), value=200)  # tiles are 0–64, 51–115 and 102–160
    image[30, 70, 0] = 230
    tiles = {"tile_size": 64, "tiles_overlap": 0.2, "tile_with_full_img": False, "iou_threshold": 0.4}
    found = await predict(tiny_models.detector(), image, parameters=tiles)
    assert found.boxes.tolist() == [[55, 20, 75, 40]]
    parts = await predict(tiny_models.detector(), image, parameters=tiles | {"iou_threshold": 0.5})
    assert parts.boxes.tolist() == [[55, 20, 75, 40], [55, 20, 64, 40]]
    segmented = await predict(tiny_models.segmenter(), image, parameters={"tile_size": 64, "tiles_overlap": 0})
    assert segmented.boxes.tolist() == [[55, 20, 75, 40]]


async def test_small_objects_are_found_which_the_whole_picture_hides() -> None:
    image = np.zeros((640, 640, 3), np.uint8)
    image[100:104, 200:204, 0] = 230  # less than half a pixel of the model's input
    async with aclosing(await open_model(tiny_models.detector())) as whole:
        assert len(await whole.infer(Frame(image))) == 0
    found = await predict(tiny_models.detector(), image, parameters={"tile_size": "64", "tiles_overlap": "0"})
    assert found.boxes.tolist() == [[200, 100, 204, 104]]


async def test_the_number_of_objects_is_limited_to_the_best() -> None:
    image = np.zeros((64, 640, 3), np.uint8)
    for index in range(10):
        image[10:20, 64 * index + 10 : 64 * index + 20, 0] = 140 + 10 * index
    tiles = {"tile_size": 64, "tiles_overlap": 0.0, "tile_with_full_img": False}
    some = await predict(tiny_models.detector(), image, parameters=tiles | {"max_pred_number": 4})
    assert [int(x) // 64 for x in some.boxes[:, 0]] == [9, 8, 7, 6]
    assert len(await predict(tiny_models.detector(), image, parameters=tiles | {"max_pred_number": 0})) == 10


async def test_masks_that_cover_their_tile_are_not_squeezed_into_the_box() -> None:
    image = picture((64, 128), red=(80, 10, 110, 40), blue=(5, 20, 30, 50))
    image[20:30, 90:100] = 0  # a hole
    found = await predict(tiny_models.full_mask_segmenter(), image, parameters=ROW)
    assert found.label_names == ("red", "blue")
    assert found.masks is not None
    np.testing.assert_array_equal(found.masks[0], image[..., 0] > 0)
    np.testing.assert_array_equal(found.masks[1], image[..., 2] > 0)


async def test_what_is_done_to_every_prediction_is_done_to_merged_ones() -> None:
    for parameters in (ROW, {}):
        loaded = load_model(tiny_models.detector(), parameters=parameters)
        changed = loaded.then(lambda prediction: prediction.filter(labels="blue"))
        async with aclosing(Model(changed)) as model:
            assert (await model.infer(Frame(PICTURES["one tile"]))).is_empty
            assert (await model.infer(Frame(PICTURES["smaller than a tile"]))).label_names == ("blue",)


async def test_large_masks_leave_polygons_only(monkeypatch: pytest.MonkeyPatch) -> None:
    make, image = partial(tiny_models.instance_segmenter, tile_size=64), PICTURES["no multiple of the tile"]
    full = await predict(make(), image)
    monkeypatch.setattr(tile_objects, "MOST_MASK_BYTES", image.shape[0] * image.shape[1] * len(full) - 1)
    found = await predict(make(), image)
    assert found.masks is None
    assert full.masks is not None
    assert found.boxes.tolist() == full.boxes.tolist()
    assert found.polygons is not None


# what asks for tiles, and what does not


@pytest.mark.parametrize(
    ("info", "parameters", "expected"),
    [
        ({}, {}, None),
        ({"tile_size": 64}, {"tile_size": 0}, None),
        ({"tile_size": 0}, {}, None),
        ({"tile_size": 64}, {}, Tiling(tile_size=64)),
        ({"tile_size": 64, "tiles_overlap": 0.25, "max_pred_number": 7, "tile_with_full_img": False, "iou_threshold": 0.3}, {},
         Tiling(tile_size=64, tiles_overlap=0.25, max_pred_number=7, tile_with_full_img=False, iou_threshold=0.3)),
        ({"tile_size": 64}, {"tile_size": 100, "tiles_overlap": 0}, Tiling(tile_size=100, tiles_overlap=0.0)),
        ({}, {"tile_size": "100", "tile_with_full_img": "false"}, Tiling(tile_size=100, tile_with_full_img=False)),
    ],
)  # fmt: skip
async def test_tiles_come_from_the_metadata_or_from_the_user(
    info: dict[str, Any], parameters: dict[str, Any], expected: Tiling | None
) -> None:
    async with aclosing(await open_model(tiny_models.detector(**info), parameters=parameters, max_requests=2)) as model:
        assert model.describe().tiling == expected
        assert (model.slots == 1) == (expected is not None)
        assert (await model.infer(Frame(picture(red=(8, 4, 24, 20))))).boxes.tolist() == [[8, 4, 24, 20]]


def brightest(outputs: Any, frame: Frame) -> Prediction:
    return Prediction.empty(Task.DETECTION, (frame.height, frame.width), [])


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (tiny_models.classifier, {"parameters": {"tile_size": 64}}, "what Classification finds in tiles cannot be merged"),
        (tiny_models.yolo_segmenter, {"parameters": {"tile_size": 64}}, "what YOLO-seg finds in tiles cannot be merged"),
        (tiny_models.unknown, {"decoder": brightest, "parameters": {"tile_size": 64}}, "what decoder brightest finds"),
        (tiny_models.detector, {"parameters": {"tiles_overlap": 0.5}}, "'tiles_overlap' is about tiles: pass 'tile_size'"),
        (tiny_models.detector, {"parameters": {"tile_size": -5}}, "'tile_size' = -5: .*Size of one tile"),
        (tiny_models.detector, {"parameters": {"tile_size": "x"}}, "'tile_size' = 'x'"),
        (tiny_models.detector, {"parameters": {"tile_size": 64, "tiles_overlap": 1.0}}, "pass an overlap from 0 to below 1"),
        (partial(tiny_models.detector, tile_size="big"), {}, "'tile_size' in the model's metadata is 'big'"),
        (partial(tiny_models.detector, tile_size=64), {"frame_size": (64, 64)}, "frame_size .*'tile_size': 0"),
    ],
)  # fmt: skip
async def test_tiles_that_cannot_be(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LoadError, match=message):
        await open_model(make(), **options)


async def test_a_classifier_made_for_tiles_says_that_it_gets_whole_pictures(caplog: pytest.LogCaptureFixture) -> None:
    async with aclosing(await open_model(tiny_models.classifier(tile_size=64))) as model:
        assert model.describe().tiling is None
    assert "was made for tiles of 64 pixels, but is run on whole pictures" in caplog.text


async def test_a_classifier_of_tiles_that_is_not_used_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tiny_models.save(tiny_models.instance_segmenter(tile_size=64), tmp_path / "model.xml")
    await (await open_model(path)).aclose()
    assert not caplog.text
    (tmp_path / "tile_classifier.xml").touch()
    await (await open_model(path)).aclose()
    assert "tile_classifier.xml beside it, which is not used: all tiles are inferred" in caplog.text


# many inferences at once


def row(*values: int) -> NDArray[np.uint8]:
    """A picture of tiles side by side, each with a square of one red value."""
    image = np.zeros((64, 64 * len(values), 3), np.uint8)
    for index, value in enumerate(values):
        image[10:30, 64 * index + 10 : 64 * index + 30, 0] = value
    return image


class Gate:
    """What a model calls: counts the tiles, and holds or fails those of one red value."""

    def __init__(self) -> None:
        self.calls = 0
        self.held = threading.Event()
        self.open = threading.Event()
        self.enough = threading.Event()
        self.expected = 1 << 30

    def __call__(self, image: NDArray[np.float32]) -> None:
        value = round(255 * float(image[0, 0].max()))
        self.calls += 1
        if self.calls == self.expected:
            self.enough.set()
        if value == 255:
            raise RuntimeError("too bright")
        if value == 250:
            self.held.set()
            assert self.open.wait(30)


def room_of(model: Model) -> anyio.Semaphore:
    assert model._tiles is not None
    return model._tiles.room


def is_clean(model: Model) -> bool:
    return room_of(model).value == 2 * model._queue.slots and model._queue.waiting == 0


async def test_tiles_run_at_once_and_come_together_in_their_order() -> None:
    gate = Gate()
    gate.expected = 4
    image = row(250, 200, 190, 180, 170, 160)
    model = await open_model(tiny_models.calling_detector(gate, **ROW), max_requests=2, config=F32)
    async with aclosing(model), anyio.create_task_group() as tasks:
        found: list[Prediction] = []

        async def infer() -> None:
            found.append(await model.infer(Frame(image)))

        tasks.start_soon(infer)
        await anyio.to_thread.run_sync(gate.enough.wait)
        await anyio.wait_all_tasks_blocked()
        assert gate.calls == 4  # two for each slot: those after the held one wait to be merged
        assert room_of(model).statistics().tasks_waiting == 1
        gate.open.set()
    assert [int(x) // 64 for x in found[0].boxes[:, 0]] == [0, 1, 2, 3, 4, 5]
    assert is_clean(model)


async def test_frames_at_once_get_their_own_predictions() -> None:
    found: dict[int, list[int]] = {}
    model = await open_model(tiny_models.detector(**ROW), max_requests=2)
    async with aclosing(model), anyio.create_task_group() as tasks:

        async def infer(count: int) -> None:
            prediction = await model.infer(Frame(row(*[230] * count)))
            found[count] = sorted(int(x) // 64 for x in prediction.boxes[:, 0])

        for count in range(1, 12):
            tasks.start_soon(infer, count)
    assert found == {count: list(range(count)) for count in range(1, 12)}
    assert is_clean(model)


async def test_a_failed_tile_is_named_and_ends_the_frame_but_nothing_else() -> None:
    gate = Gate()
    model = await open_model(tiny_models.calling_detector(gate, **ROW), max_requests=2, name="fragile")
    async with aclosing(model):
        message = r"^model 'fragile', frame 7 \('row.png'\): tile x 64–128, y 0–64: OpenVINO failed on this input"
        with pytest.raises(InferenceError, match=message):
            await model.infer(Frame(row(200, 255, *[200] * 40), name="row.png", index=7))
        assert gate.calls < 42
        assert is_clean(model)
        assert len(await model.infer(Frame(row(200, 200, 200)))) == 3


async def test_a_tile_that_cannot_be_decoded_or_merged_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = await open_model(tiny_models.detector(**ROW), max_requests=2)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("no")

    async with aclosing(model):
        with monkeypatch.context() as patch:
            patch.setattr(tile_objects, "distinct", broken)
            with pytest.raises(InferenceError, match="frame 0: cannot merge the tiles: ZeroDivisionError: no"):
                await model.infer(Frame(row(200)))
        with monkeypatch.context() as patch:
            patch.setattr(Explained, "by", broken)
            with pytest.raises(InferenceError, match="frame 0: tile x 0–64, y 0–64: ZeroDivisionError: no"):
                await model.infer(Frame(row(200)))
        assert is_clean(model)
        assert len(await model.infer(Frame(row(200)))) == 1


async def test_a_cancelled_frame_leaves_nothing_running() -> None:
    gate = Gate()
    model = await open_model(tiny_models.calling_detector(gate, **ROW), max_requests=2)
    async with aclosing(model):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(model.infer, Frame(row(*[250] * 20)))
            await anyio.to_thread.run_sync(gate.held.wait)
            tasks.cancel_scope.cancel()
        assert is_clean(model)
        gate.open.set()
        assert len(await model.infer(Frame(row(200, 200)))) == 2
        assert gate.calls <= 4 + 2
    assert (model._queue.running, model._queue.waiting) == (0, 0)


async def test_closing_fails_a_frame_whose_tiles_wait() -> None:
    gate = Gate()
    model = await open_model(tiny_models.calling_detector(gate, **ROW), max_requests=1)
    failures: list[Exception] = []

    async def infer() -> None:
        try:
            await model.infer(Frame(row(*[250] * 8)))
        except InferQueueClosed as error:
            failures.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(infer)
        await anyio.to_thread.run_sync(gate.held.wait)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(model.aclose)
        await anyio.wait_all_tasks_blocked()
        gate.open.set()
    assert len(failures) == 1


@pytest.mark.parametrize("layout", ["view", "read-only"])
async def test_pixels_that_openvino_cannot_read_in_place(layout: str) -> None:
    image = np.zeros((600, 600, 6), np.uint8)[..., ::2] if layout == "view" else np.zeros((600, 600, 3), np.uint8)
    image[140:160, 150:170, 2] = 230
    image.flags.writeable = layout == "view"
    tiles = {"tile_size": 64, "tiles_overlap": 0, "iou_threshold": 1}
    found = await predict(tiny_models.detector(), image, parameters=tiles)
    assert [150, 140, 170, 160] in found.boxes.tolist()
    assert len(found) == 2  # once in the whole picture
    assert set(found.label_names) == {"blue"}


async def test_opencv_prepares_the_same_tiles_as_the_graph() -> None:
    image, tiles = PICTURES["no multiple of the tile"], {"tile_size": 64}
    one = await predict(tiny_models.detector(), image, parameters=tiles, preprocessing="opencv")
    other = await predict(tiny_models.detector(), image, parameters=tiles)
    assert one.boxes.tolist() == other.boxes.tolist()


async def test_a_stream_of_pictures_in_tiles_keeps_its_order() -> None:
    pictures = [row(*[230] * (1 + index % 4)) for index in range(20)]
    async with Deployment.load(tiny_models.detector(), parameters=ROW, max_requests=2) as deployment:
        found = [len(result.prediction) async for result in deployment.stream(pictures)]
        assert deployment.describe().tiling == Tiling(**ROW)
    assert found == [1 + index % 4 for index in range(20)]
