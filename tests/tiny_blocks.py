"""What the tiny models are made of: inputs, colour channels, boxes, metadata."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

SIZE = 64
RGB = ("red", "green", "blue")


def f32(value: Any) -> ov.Node:
    return op.constant(np.array(value, np.float32))


def i64(value: Any) -> ov.Node:
    return op.constant(np.array(value, np.int64))


def image(layout: str = "NCHW", dynamic: bool = False) -> ov.Node:
    side = -1 if dynamic else SIZE
    image = op.parameter([1, 3, side, side] if layout == "NCHW" else [1, side, side, 3], np.float32, name="image")
    image.output(0).get_tensor().set_names({"image"})
    return image


def named(parameter: ov.Node, name: str) -> ov.Node:
    parameter.output(0).get_tensor().set_names({name})
    return parameter


def channel_means(image: ov.Node, layout: str = "NCHW") -> ov.Node:
    return op.reduce_mean(image, i64([2, 3] if layout == "NCHW" else [1, 2]), keep_dims=False)


def bright(image: ov.Node) -> ov.Node:
    return op.convert(op.greater(image, f32(0.5)), "f32")


def boxes(image: ov.Node) -> ov.Node:
    """[1,3,5]: x1, y1, x2, y2 around the bright pixels of each channel, and the brightest value (0 if there are none)."""

    def extent(axis: int) -> tuple[ov.Node, ov.Node]:
        hit = op.greater(op.reduce_max(bright(image), i64([axis]), keep_dims=False), f32(0))
        places = np.arange(SIZE, dtype=np.float32)
        first = op.reduce_min(op.select(hit, f32(places), f32(SIZE)), i64([2]), keep_dims=True)
        last = op.reduce_max(op.select(hit, f32(places + 1), f32(0)), i64([2]), keep_dims=True)
        return first, last

    x1, x2 = extent(2)
    y1, y2 = extent(3)
    score = op.reshape(
        op.reduce_max(op.multiply(image, bright(image)), i64([2, 3]), keep_dims=False), i64([1, 3, 1]), False
    )
    return op.concat([x1, y1, x2, y2, score], 2)


YOLO = {"resize_type": "fit_to_window_letterbox", "iou_threshold": 0.5}


def yolo_rows(image: ov.Node, extra: list[ov.Node]) -> ov.Node:
    first, last, score = op.variadic_split(boxes(image), i64(2), i64([2, 2, 1])).outputs()
    centre = op.multiply(op.add(first, last), f32(0.5))
    scores = op.multiply(score, f32(np.eye(3)[None]))
    return op.transpose(op.concat([centre, op.subtract(last, first), scores, *extra], 2), i64([0, 2, 1]))


def xai(image: ov.Node) -> dict[str, ov.Node]:
    """feature_vector [1,48]: the channels at 4×4; saliency_map u8 [1,3,7,7]: the channels at 7×7."""
    vector = op.reshape(op.adaptive_avg_pool(image, i64([4, 4])), i64([1, 48]), False)
    maps = op.convert(op.multiply(op.adaptive_avg_pool(image, i64([7, 7])), f32(255)), "u8")
    return {"feature_vector": vector, "saliency_map": maps}


def info(task: str, model_type: str, labels: Sequence[str], **extra: Any) -> dict[str, str]:
    ids = [f"{index + 1:024x}" for index in range(len(labels))]
    info = {
        "model_type": model_type,
        "task_type": task,
        "labels": " ".join(label.replace(" ", "_") for label in labels),
        "label_ids": " ".join(ids),
        "label_info": json.dumps({"label_names": list(labels), "label_ids": ids, "label_groups": [list(labels)]}),
        "confidence_threshold": 0.5,
        "mean_values": "0 0 0",
        "scale_values": "255 255 255",
        "resize_type": "standard",
        **extra,
    }
    return {key: str(value) for key, value in info.items()}


def model(inputs: ov.Node | list[ov.Node], outputs: dict[str, ov.Node], info: dict[str, str]) -> ov.Model:
    results = []
    for name, node in outputs.items():
        result = op.result(node)
        result.input(0).get_source_output().get_tensor().set_names({name})
        results.append(result)
    model = ov.Model(results, inputs if isinstance(inputs, list) else [inputs], "tiny")
    for key, value in info.items():
        model.set_rt_info(value, ["model_info", key])
    return model
