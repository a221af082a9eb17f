"""Real weights on real pictures give the results that were checked by eye.

The figures are those of OpenVINO on the CPU in f32.
"""

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from proofs import ssd_mobilenet
from proofs.fetch import from_debian
from proofs.ssd_mobilenet import DOG, PARAMETERS, SsdDecoder

from aiohooks.demo.assets import CHELSEA, COFFEE
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.deployment import Deployment

pytestmark = [pytest.mark.anyio, pytest.mark.proof]

F32 = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture(scope="module")
def dog() -> Path:
    return from_debian(DOG)


@pytest.fixture(scope="module")
def ssd() -> tuple[Path, list[str]]:
    return ssd_mobilenet.fetch()


async def pictures(dog: Path) -> dict[str, Path]:
    chelsea, coffee = await fetch([CHELSEA, COFFEE])
    return {"chelsea": chelsea, "coffee": coffee, "dog": dog}


def read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8)


def evaluation_crop(path: Path) -> NDArray[np.uint8]:
    """Return the central 87.5 % of a picture as 224×224, by area, inside the margin that the network cuts off."""
    image = read(path)
    height, width = image.shape[:2]
    side = int(min(height, width) * 0.875)
    top, left = (height - side) // 2, (width - side) // 2
    crop = cv2.resize(image[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.copyMakeBorder(crop, 16, 16, 16, 16, cv2.BORDER_REPLICATE), np.uint8)


async def test_the_classifier_names_a_cat_an_espresso_and_a_dog(dog: Path) -> None:
    async with Deployment.load(await classifier(), config=F32) as deployment:
        names = {name: (await deployment.infer(path)).label_names for name, path in (await pictures(dog)).items()}
    assert names == {"chelsea": ("tiger cat",), "coffee": ("espresso",), "dog": ("malamute",)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chelsea", {"tiger cat": 0.393, "Egyptian cat": 0.362, "tabby": 0.163}),
        ("coffee", {"espresso": 0.957, "cup": 0.013, "consomme": 0.008}),
        ("dog", {"malamute": 0.417, "German shepherd": 0.239, "keeshond": 0.038}),
    ],
)
async def test_the_classifiers_scores_are_right(dog: Path, name: str, expected: dict[str, float]) -> None:
    crop = evaluation_crop((await pictures(dog))[name])
    async with Deployment.load(await classifier(), config=F32) as deployment:
        prediction = await deployment.infer(crop)
    scores = prediction.class_scores
    assert scores is not None
    best = np.argsort(scores)[::-1][: len(expected)]
    assert {prediction.labels[i].name: float(scores[i]) for i in best} == pytest.approx(expected, abs=0.01)
    assert prediction.feature_vector is not None
    assert prediction.feature_vector.shape == (1280,)


# Label, score, and x1, y1, x2, y2 in pixels of the picture.
IN_THE_DOGS_PICTURE = [
    ("Dog", 0.700, [125.4, 212.0, 324.1, 552.0]),
    ("Bicycle", 0.688, [128.7, 123.4, 568.0, 479.9]),
    ("Car", 0.674, [459.4, 82.9, 693.4, 170.1]),
    ("Dog", 0.396, [124.9, 181.8, 474.2, 504.0]),
]


def detector(ssd: tuple[Path, list[str]], preprocessing: Literal["graph", "opencv"]) -> Deployment:
    path, labels = ssd
    return Deployment.load(
        path,
        decoder=SsdDecoder(labels),
        labels=labels,
        parameters=PARAMETERS,
        preprocessing=preprocessing,
        config=F32,
    )


async def test_a_hand_written_decoder_finds_the_dog_the_bicycle_and_the_car(
    dog: Path, ssd: tuple[Path, list[str]]
) -> None:
    async with detector(ssd, "graph") as deployment:
        prediction = (await deployment.infer(dog)).filter(min_score=0.5)
    assert prediction.label_names == ("Dog", "Bicycle", "Car")
    # Two anchors find the bicycle equally well: which one wins depends on how the picture is made smaller.
    for found, (_, score, box) in zip(range(3), IN_THE_DOGS_PICTURE[:3], strict=True):
        assert overlap(prediction.boxes[found], box) > 0.9
        assert prediction.scores[found] == pytest.approx(score, abs=0.01)


async def test_its_boxes_and_scores_are_right(dog: Path, ssd: tuple[Path, list[str]]) -> None:
    async with detector(ssd, "opencv") as deployment:  # the figures were taken with OpenCV's resize
        prediction = await deployment.infer(dog)
    names, scores, boxes = zip(*IN_THE_DOGS_PICTURE, strict=True)
    assert prediction.label_names == names
    np.testing.assert_allclose(prediction.scores, scores, atol=0.01)
    # A detection is clipped to the picture.
    np.testing.assert_allclose(prediction.boxes, boxes, atol=2)


def overlap(one: NDArray[np.float32], other: list[float]) -> float:
    """Return the area that two boxes share by the area that either covers."""
    start, end = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = np.prod(np.maximum(end - start, 0))
    areas = [np.prod(np.subtract(box[2:], box[:2])) for box in (one, other)]
    return float(shared / (sum(areas) - shared))
