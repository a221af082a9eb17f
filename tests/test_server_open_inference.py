"""Our server behind the Open Inference Protocol, asked by our own writer of its messages."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import served
import tiny_models
from numpy.typing import NDArray

import aiohooks as ah
from aiohooks.open_inference import (
    JSON_LENGTH_HEADER,
    InferAnswer,
    InferRequest,
    OutputWish,
    Tensor,
    read_answer,
    write_request,
)
from aiohooks.prediction.tensors import from_tensors, to_tensors
from aiohooks.server import Limits

pytestmark = pytest.mark.anyio

PICTURES = [
    tiny_models.picture(red=(8, 4, 24, 20), blue=(30, 30, 50, 60)),
    tiny_models.picture(),
    tiny_models.picture(green=(0, 0, 9, 9)),
]


def encoded(*pictures: NDArray[np.uint8]) -> Tensor:
    values = np.empty(len(pictures), object)
    values[:] = [served.png(picture) for picture in pictures]
    return Tensor("image", values)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def infer(server: served.Server, model: str, request: InferRequest, *, binary: bool = True) -> InferAnswer:
    body, length = write_request(request, binary=binary)
    headers = {} if length is None else {JSON_LENGTH_HEADER: str(length)}
    async with server.client.post(f"/v2/models/{model}/infer", data=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        told = answer.headers.get(JSON_LENGTH_HEADER)
        return read_answer(await answer.read(), None if told is None else int(told))


async def refusal(server: served.Server, model: str, request: InferRequest) -> tuple[int, str]:
    body, length = write_request(request)
    headers = {} if length is None else {JSON_LENGTH_HEADER: str(length)}
    async with server.client.post(f"/v2/models/{model}/infer", data=body, headers=headers) as answer:
        return answer.status, (await answer.json())["error"]


def arrays_of(answer: InferAnswer) -> dict[str, NDArray[Any]]:
    return {tensor.name: tensor.array for tensor in answer.outputs}


def same(one: ah.Prediction, other: ah.Prediction) -> bool:
    fields = (
        "boxes",
        "scores",
        "label_indices",
        "object_indices",
        "masks",
        "rotated_boxes",
        "keypoints",
        "label_map",
        "heat_map",
        "class_scores",
        "feature_vector",
        "saliency_maps",
    )
    return (one.task, one.size, one.labels) == (other.task, other.size, other.labels) and all(
        np.array_equal(getattr(one, field), getattr(other, field), equal_nan=True)
        if getattr(one, field) is not None
        else getattr(other, field) is None
        for field in fields
    )


KINDS = {
    "classifier": "class_scores",
    "detector": "",
    "instance_segmenter": "masks polygons polygon_lengths",
    "rotated_detector": "rotated_boxes",
    "segmenter": "label_map polygons polygon_lengths",
    "anomaly": "heat_map",
    "keypoints": "keypoints",
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_prediction_comes_whole(tmp_path: Path, kind: str) -> None:
    path = tiny_models.save(getattr(tiny_models, kind)(), tmp_path / "model.xml")
    always = ("boxes", "scores", "label_indices", "object_indices", "size", *KINDS[kind].split())
    async with served.serving(path) as server:
        local = await server.deployment.infer(PICTURES[0])
        wishes = tuple(OutputWish(name, True) for name in always)
        answer = await infer(server, "model", InferRequest((encoded(PICTURES[0]),), wishes))
        labels = server.deployment.labels
        async with server.client.get("/v2/models/model") as about:
            listed = {tensor["name"] for tensor in (await about.json())["outputs"]}
    prediction = from_tensors(arrays_of(answer), task=local.task, labels=labels)
    assert same(prediction, local)
    assert set(always) <= listed
    if local.polygons is not None and prediction.polygons is not None:
        assert all(np.array_equal(*pair) for pair in zip(local.polygons, prediction.polygons, strict=True))


async def test_pictures_at_once(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.detector(), tmp_path / "model.xml")
    async with served.serving(path) as server:
        local = [await server.deployment.infer(picture) for picture in PICTURES]
        for tensor in (encoded(*PICTURES), Tensor("pixels", np.stack(PICTURES))):
            arrays = arrays_of(
                await infer(server, "model", InferRequest((tensor,), parameters={"binary_data_output": True}))
            )
            wanted = to_tensors(local)
            assert arrays.keys() == wanted.keys()
            assert all(arrays[name].tolist() == wanted[name].tolist() for name in wanted)
            assert arrays["picture_indices"].tolist() == [0, 0, 2]
            assert arrays["object_indices"].tolist() == [0, 1, 2]
        told = [json.loads(text) for text in arrays["prediction"]]
        assert told == [prediction.to_geti() for prediction in local]


async def test_one_bad_picture_of_many_is_named(tmp_path: Path) -> None:
    async with served.serving(served.colours(tmp_path)) as server:
        values = np.empty(3, object)
        values[:] = [served.png(red=255), b"no picture", served.png(blue=255)]
        status, error = await refusal(server, "colours", InferRequest((Tensor("image", values),)))
    assert status == 400
    assert error.startswith("picture 1: not a picture")


async def test_a_picture_in_json_is_base64(tmp_path: Path) -> None:
    async with served.serving(served.colours(tmp_path)) as server:
        values = np.array([base64.b64encode(served.png(green=255))], object)
        answer = await infer(server, "colours", InferRequest((Tensor("image", values),)), binary=False)
    assert arrays_of(answer)["label_names"].tolist() == [b"green"]


@pytest.mark.parametrize("preprocessing", ["graph", "opencv"])
async def test_a_models_own_tensors(tmp_path: Path, preprocessing: str) -> None:
    picture = tiny_models.plain(red=100, blue=30)
    path = served.colours(tmp_path)
    async with served.serving(
        path, load={"preprocessing": preprocessing, "config": {"INFERENCE_PRECISION_HINT": "f32"}}
    ) as server:
        (about,) = server.deployment.describe().inputs
        pixels = picture[None] if about.dtype == "u8" else picture.transpose(2, 0, 1)[None].astype(np.float32) / 255
        answer = await infer(server, "colours.tensors", InferRequest((Tensor("image", pixels),), id="7"))
        (logits,) = answer.outputs
        assert (answer.model, answer.id, logits.name) == ("colours.tensors", "7", "logits")
        assert logits.array == pytest.approx(np.array([[1000 / 255, 0, 300 / 255]]), abs=1e-3)
        for wrong in (
            {"image": pixels.astype(np.float64)},
            {"image": pixels[0]},
            {"other": pixels},
            {"image": pixels[:, :0]},
        ):
            tensors = tuple(Tensor(name, array) for name, array in wrong.items())
            assert (await refusal(server, "colours.tensors", InferRequest(tensors)))[0] == 400
        status, error = await refusal(
            server, "colours.tensors", InferRequest((Tensor("image", pixels),), (OutputWish("x"),))
        )
        assert (status, error) == (400, "there is no output 'x'; there are: logits")


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([], "expected one input"),
        ([Tensor("other", np.zeros(3, np.uint8))], "expected one input, 'image' or 'pixels', got ['other']"),
        ([Tensor("image", np.zeros((8, 8, 3), np.uint8))], "pixels go into 'pixels'"),
        ([Tensor("pixels", np.zeros((8, 8, 3), np.float32))], "expected UINT8 of shape"),
        ([Tensor("pixels", np.zeros((3, 8, 8), np.uint8))], "expected UINT8 of shape"),
        ([Tensor("pixels", np.zeros((0, 8, 8, 3), np.uint8))], "expected 1 to 2 pictures, got 0"),
        ([Tensor("pixels", np.zeros((3, 8, 8, 3), np.uint8))], "expected 1 to 2 pictures, got 3"),
        ([Tensor("pixels", np.zeros((101, 100, 3), np.uint8))], "may have 10,000 pixels"),
        ([encoded(tiny_models.picture(size=(101, 100)))], "more than the limit of 10,000"),
    ],
)
async def test_what_is_no_picture_is_the_clients_mistake(tmp_path: Path, inputs: Sequence[Tensor], said: str) -> None:
    async with served.serving(served.colours(tmp_path), limits=Limits(frames=2, pixels=10_000)) as server:
        status, error = await refusal(server, "colours", InferRequest(tuple(inputs)))
    assert status == 400
    assert said in error


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([OutputWish("masks")], "the model gives no masks"),
        ([OutputWish("nothing")], "there is no output 'nothing'"),
    ],
)
async def test_outputs_that_are_not_there(tmp_path: Path, outputs: Sequence[OutputWish], said: str) -> None:
    async with served.serving(served.colours(tmp_path)) as server:
        status, error = await refusal(server, "colours", InferRequest((encoded(PICTURES[0]),), tuple(outputs)))
    assert (status, said in error) == (400, True)


async def test_a_time_limit_of_the_request(tmp_path: Path) -> None:
    async with served.serving(ah.Deployment.load(tiny_models.slow())) as server:
        name = server.deployment.name
        pixels = Tensor("pixels", tiny_models.plain(red=255))
        status, _ = await refusal(server, name, InferRequest((pixels,), parameters={"timeout": 20_000}))
        assert status == 504
        for wrong in (-1, "soon", 1.5, True):
            assert (await refusal(server, name, InferRequest((pixels,), parameters={"timeout": wrong})))[0] == 400
        black = Tensor("pixels", tiny_models.plain())
        assert (await infer(server, name, InferRequest((black,), parameters={"timeout": 5_000_000}))).outputs


async def test_versions(tmp_path: Path) -> None:
    async with served.serving(served.colours(tmp_path)) as server:
        for path, status in [
            ("1", 200),
            ("1/ready", 200),
            ("1/config", 200),
            ("1/stats", 200),
            ("2", 404),
            ("2/ready", 404),
        ]:
            async with server.client.get(f"/v2/models/colours/versions/{path}") as answer:
                assert answer.status == status, path


async def test_long_answers_are_compressed_for_those_who_take_that(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.segmenter(), tmp_path / "model.xml")
    body, length = write_request(InferRequest((encoded(PICTURES[0]),), (OutputWish("label_map", False),)))
    async with served.serving(path) as server:
        for accepted, encoding in [("gzip", "gzip"), ("deflate", "deflate"), ("identity", None)]:
            headers = {JSON_LENGTH_HEADER: str(length), "Accept-Encoding": accepted}
            async with server.client.post("/v2/models/model/infer", data=body, headers=headers) as answer:
                assert answer.headers.get("Content-Encoding") == encoding
                (label_map,) = read_answer(await answer.read()).outputs
                assert label_map.array.shape == (1, 64, 64)
