"""Tiny but real OpenVINO models, built in code, whose results can be read off the picture.

Every model takes an RGB picture (scaled to 0–1 by its metadata) at 64×64, so that pictures of that size keep
their coordinates, and looks at its three colour channels: the labels are red, green and blue unless said otherwise.

    save(detector(), tmp_path / "model.xml")        # with Model API metadata in rt_info
    picture(red=(8, 4, 24, 20))                     # black, with a red rectangle x1, y1, x2, y2
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import tiny_blocks as blocks
from numpy.typing import NDArray
from openvino import opset13 as op
from tiny_blocks import RGB, SIZE, f32, i64


def picture(
    size: int | tuple[int, int] = SIZE, value: int = 230, fill: int = 0, **boxes: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """A picture with one rectangle (x1, y1, x2, y2) per colour channel, of brightness `value`."""
    height, width = (size, size) if isinstance(size, int) else size
    image = np.full((height, width, 3), fill, np.uint8)
    for name, (x1, y1, x2, y2) in boxes.items():
        image[y1:y2, x1:x2, RGB.index(name)] = value
    return image


def plain(red: int = 0, green: int = 0, blue: int = 0, size: int = SIZE) -> NDArray[np.uint8]:
    """A picture of one colour."""
    return np.broadcast_to(np.array([red, green, blue], np.uint8), (size, size, 3)).copy()


def save(model: ov.Model, path: Path) -> Path:
    """Write the model (.xml beside its .bin) and return the path."""
    ov.save_model(model, path, compress_to_fp16=False)
    return path


def without_info(model: ov.Model) -> ov.Model:
    """The same model without Model API's metadata."""
    model.set_rt_info({}, ["model_info"])
    return model


# classification ------------------------------------------------------------------------------------------------


def classifier(
    labels: Sequence[str] = RGB, *, xai: bool = False, layout: str = "NCHW", dynamic: bool = False, **info: Any
) -> ov.Model:
    """Multi-class: the logit of a class is ten times the mean of its channel."""
    image = blocks.image(layout=layout, dynamic=dynamic)
    logits = op.multiply(blocks.channel_means(image, layout), f32(10))
    outputs = {"logits": logits} | (blocks.xai(image) if xai else {})
    return blocks.model(image, outputs, blocks.info("classification", "Classification", labels, **info))


def multi_label(labels: Sequence[str] = RGB, **info: Any) -> ov.Model:
    """Every channel whose mean is above 0.5 is a label: the logit is 20 · (mean − 0.5)."""
    image = blocks.image()
    logits = op.multiply(op.subtract(blocks.channel_means(image), f32(0.5)), f32(20))
    return blocks.model(
        image, {"logits": logits}, blocks.info("classification", "Classification", labels, multilabel=True, **info)
    )


def hierarchical(**info: Any) -> ov.Model:
    """Light (red + green + blue above 1.5) or dark; light pictures are pale red or pale blue; green tint when green is above 0.5."""
    labels = ["light", "dark", "pale red", "pale blue", "green tint"]
    names = [label.replace(" ", "_") for label in labels]
    weights = np.array([[10, 0, 10, 0, 0], [10, 0, 0, 0, 20], [10, 0, 0, 10, 0]], np.float32)
    image = blocks.image()
    logits = op.add(op.matmul(blocks.channel_means(image), f32(weights), False, False), f32([0, 15, 0, 0, -10]))
    heads = {
        "num_multiclass_heads": 2,
        "num_multilabel_classes": 1,
        "head_idx_to_logits_range": {"0": [0, 2], "1": [2, 4]},
        "num_single_label_classes": 4,
        "class_to_group_idx": dict(zip(names, [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0]], strict=True)),
        "all_groups": [names[:2], names[2:4], names[4:]],
        "label_to_idx": {name: index for index, name in enumerate(names)},
        "empty_multiclass_head_indices": [],
    }
    config = {"cls_heads_info": heads, "label_tree_edges": [["pale_red", "light"], ["pale_blue", "light"]]}
    extra = {"hierarchical": True, "hierarchical_config": json.dumps(config), **info}
    return blocks.model(image, {"logits": logits}, blocks.info("classification", "Classification", labels, **extra))


def grey_classifier() -> ov.Model:
    """Light or dark: probabilities of a one-channel picture [N,1,64,64] of any batch, its mean and the rest."""
    image = op.parameter([-1, 1, SIZE, SIZE], np.float32, name="image")
    image.output(0).get_tensor().set_names({"image"})
    light = op.reshape(op.reduce_mean(image, i64([2, 3]), keep_dims=False), i64([-1, 1]), False)
    outputs = {"probabilities": op.concat([light, op.subtract(f32(1), light)], 1)}
    return blocks.model(
        image,
        outputs,
        blocks.info("classification", "Classification", ["light", "dark"], mean_values="", scale_values="255"),
    )


# detection -----------------------------------------------------------------------------------------------------


def detector(labels: Sequence[str] = RGB, *, xai: bool = False, **info: Any) -> ov.Model:
    """One box around what is brighter than half in each channel; its score is the brightest value there."""
    image = blocks.image()
    outputs = {"bboxes": blocks.boxes(image), "labels": i64([[0, 1, 2]])} | (blocks.xai(image) if xai else {})
    return blocks.model(image, outputs, blocks.info("detection", "ssd", labels, **info))


def free_size_detector() -> ov.Model:
    """One box [1,1,5] over all of a picture [1,3,height,width] of any size."""
    image = blocks.image(dynamic=True)
    size = op.convert(op.gather(op.shape_of(image), i64([3, 2]), i64(0)), "f32")
    box = op.concat([f32([0, 0]), size, f32([0.9])], 0)
    shaped = op.reshape(box, i64([1, 1, 5]), False)
    return blocks.model(image, {"bboxes": shaped, "labels": i64([[0]])}, blocks.info("detection", "ssd", RGB))


def any_boxes(height: int, width: int) -> ov.Model:
    """Four boxes with labels for a picture of this size, all zero: for decoders that are fed with outputs of their own."""
    image = op.parameter([1, 3, height, width], np.float32, name="image")
    image.output(0).get_tensor().set_names({"image"})
    zero = op.multiply(op.reduce_mean(image, i64([0, 1, 2, 3]), keep_dims=False), f32(0))
    outputs = {"bboxes": op.add(zero, f32(np.zeros((1, 4, 5)))), "labels": i64(np.zeros((1, 4)))}
    return blocks.model(image, outputs, blocks.info("detection", "ssd", RGB))


def yolo(labels: Sequence[str] = RGB, **info: Any) -> ov.Model:
    """The boxes of `detector` as YOLO11 gives them: [1,4+classes,boxes] with centre x, y, width, height and the scores."""
    image = blocks.image()
    return blocks.model(
        image,
        {"output0": blocks.yolo_rows(image, [])},
        blocks.info("detection", "YOLO11", labels, **blocks.YOLO | info),
    )


def yolo_segmenter(labels: Sequence[str] = RGB, **info: Any) -> ov.Model:
    """`yolo` with one mask prototype at 16×16: what is bright."""
    image = blocks.image()
    bright = op.adaptive_avg_pool(op.reduce_max(blocks.bright(image), i64([1]), keep_dims=True), i64([16, 16]))
    prototype = op.subtract(op.multiply(bright, f32(20)), f32(10))
    rows = blocks.yolo_rows(image, [f32(np.ones((1, 3, 1)))])
    return blocks.model(
        image,
        {"output0": rows, "output1": prototype},
        blocks.info("instance_segmentation", "YOLO-seg", labels, **blocks.YOLO | info),
    )


def instance_segmenter(
    labels: Sequence[str] = RGB, *, task: str = "instance_segmentation", xai: bool = False, **info: Any
) -> ov.Model:
    """The boxes of `detector`, each with the mask of what is bright inside it."""
    image = blocks.image()
    boxes = blocks.boxes(image)
    flat = op.reshape(op.slice(boxes, i64([0]), i64([4]), i64([1]), i64([2])), i64([3, 4]), False)
    channels = op.reshape(blocks.bright(image), i64([3, 1, SIZE, SIZE]), False)
    masks = op.roi_align(channels, flat, i64([0, 1, 2]), 28, 28, 2, 1.0, "avg")
    outputs = {"bboxes": boxes, "labels": i64([[0, 1, 2]]), "masks": op.reshape(masks, i64([1, 3, 28, 28]), False)}
    if xai:
        outputs["feature_vector"] = blocks.xai(image)["feature_vector"]
    return blocks.model(image, outputs, blocks.info(task, "MaskRCNN", ["otx_empty_lbl", *labels], **info))


def full_mask_segmenter(labels: Sequence[str] = RGB, **info: Any) -> ov.Model:
    """The boxes of `detector`, each with a mask [64,64] of the whole picture, as DETR-like models give them."""
    image = blocks.image()
    outputs = {"bboxes": blocks.boxes(image), "labels": i64([[0, 1, 2]]), "masks": blocks.bright(image)}
    names = ["otx_empty_lbl", *labels]
    return blocks.model(image, outputs, blocks.info("instance_segmentation", "DETRInstSeg", names, **info))


def rotated_detector(labels: Sequence[str] = RGB, **info: Any) -> ov.Model:
    """`instance_segmenter` for Geti's rotated detection."""
    return instance_segmenter(labels, task="rotated_detection", **info)


# pixels --------------------------------------------------------------------------------------------------------


def segmenter(labels: Sequence[str] = RGB, *, xai: bool = False, **info: Any) -> ov.Model:
    """A pixel belongs to its brightest channel, or to the background where all are below half."""
    image = blocks.image()
    background = op.subtract(f32(1), op.reduce_max(image, i64([1]), keep_dims=True))
    outputs = {"preds": op.concat([background, image], 1)}
    if xai:
        outputs["feature_vector"] = blocks.xai(image)["feature_vector"]
    return blocks.model(image, outputs, blocks.info("segmentation", "Segmentation", labels, soft_threshold=0.5, **info))


def anomaly(*, task: str = "anomaly", **info: Any) -> ov.Model:
    """Bright pixels are anomalous: one output, the map."""
    image = blocks.image()
    grey = op.reduce_mean(image, i64([1]), keep_dims=True)
    thresholds = {"image_threshold": 0.5, "pixel_threshold": 0.5, "normalization_scale": 1.0}
    return blocks.model(
        image, {"output": grey}, blocks.info(task, "AnomalyDetection", ["Normal", "Anomaly"], **thresholds | info)
    )


def anomalib2(*, task: str = "anomaly", **info: Any) -> ov.Model:
    """Bright pixels are anomalous: the four outputs that Anomalib 2 exports."""
    image = blocks.image()
    grey = op.reduce_mean(image, i64([1]), keep_dims=True)
    score = op.reduce_max(grey, i64([1, 2, 3]), keep_dims=False)
    outputs = {
        "pred_score": score,
        "pred_label": op.greater(score, f32(0.5)),
        "anomaly_map": grey,
        "pred_mask": op.greater(grey, f32(0.5)),
    }
    return blocks.model(image, outputs, blocks.info(task, "AnomalyDetection", ["Normal", "Anomaly"], **info))


def anomaly_score(**info: Any) -> ov.Model:
    """Bright pictures are anomalous: one output, the score."""
    image = blocks.image()
    score = op.reduce_max(image, i64([1, 2, 3]), keep_dims=False)
    return blocks.model(
        image, {"score": score}, blocks.info("anomaly", "AnomalyDetection", ["Normal", "Anomaly"], **info)
    )


def keypoints(labels: Sequence[str] = RGB, **info: Any) -> ov.Model:
    """The brightest column and row of each channel, as SimCC vectors of twice the input's size."""
    image = blocks.image()
    even = f32([1, 0])

    def simcc(axis: int) -> ov.Node:
        line = op.reshape(op.reduce_max(image, i64([axis]), keep_dims=False), i64([1, 3, SIZE, 1]), False)
        return op.reshape(op.multiply(line, even), i64([1, 3, 2 * SIZE]), False)

    outputs = {"simcc_x": simcc(2), "simcc_y": simcc(3)}
    return blocks.model(image, outputs, blocks.info("keypoint_detection", "keypoint_detection", labels, **info))


# for a Decoder, and for trouble --------------------------------------------------------------------------------


def unknown() -> ov.Model:
    """Two outputs that no wrapper knows: `means` [1,3] and `boxes` [1,3,5] (x1, y1, x2, y2, score), from pixels in 0–1."""
    image = blocks.image()
    return blocks.model(image, {"means": blocks.channel_means(image), "boxes": blocks.boxes(image)}, {})


def features() -> ov.Model:
    """Only `feature_vector` [1,48]."""
    image = blocks.image()
    return blocks.model(image, {"feature_vector": blocks.xai(image)["feature_vector"]}, {})


def with_image_info(*, picture_first: bool = True) -> ov.Model:
    """`detector` with another input [1,3], as old SSD exports have it."""
    image = blocks.image()
    size = op.parameter([1, 3], np.float32, name="image_info")
    size.output(0).get_tensor().set_names({"image_info"})
    boxes = op.add(blocks.boxes(image), op.multiply(op.reduce_mean(size, i64([0, 1]), keep_dims=False), f32(0)))
    return blocks.model(
        [image, size] if picture_first else [size, image],
        {"bboxes": boxes, "labels": i64([[0, 1, 2]])},
        blocks.info("detection", "ssd", RGB),
    )


def failing(labels: Sequence[str] = RGB) -> ov.Model:
    """`classifier` that fails inside OpenVINO on a picture that is nearly white; it can be saved.

    It writes one value to a place that does not exist, which is checked at every inference. A shape that does not
    fit would not do: OpenVINO checks that only when it differs from the inference before.
    """
    image = blocks.image()
    means = blocks.channel_means(image)
    white = op.greater(op.reduce_mean(means, i64([0, 1]), keep_dims=True), f32(0.98))
    place = op.multiply(op.reshape(op.convert(white, "i64"), i64([1]), False), i64([99]))
    nothing = op.scatter_update(f32([0, 0, 0]), place, f32([0]), i64(0))
    logits = op.multiply(op.add(means, nothing), f32(10))
    return blocks.model(image, {"logits": logits}, blocks.info("classification", "Classification", labels))


def calling(function: Callable[[NDArray[np.float32]], object], labels: Sequence[str] = RGB) -> ov.Model:
    """`classifier` that calls `function` with the input [1,3,64,64] (0–1) in OpenVINO's thread: raise, wait or count there.

    It cannot be saved: pass the model itself to the loader.
    """
    image = blocks.image()
    logits = op.multiply(blocks.channel_means(_call(image, function)), f32(10))
    return blocks.model(image, {"logits": logits}, blocks.info("classification", "Classification", labels))


def calling_detector(function: Callable[[NDArray[np.float32]], object], **info: Any) -> ov.Model:
    """`detector` that calls `function` as `calling` does."""
    image = blocks.image()
    outputs = {"bboxes": blocks.boxes(_call(image, function)), "labels": i64([[0, 1, 2]])}
    return blocks.model(image, outputs, blocks.info("detection", "ssd", RGB, **info))


def _call(image: ov.Node, function: Callable[[NDArray[np.float32]], object]) -> ov.Node:
    class Call(ov.Op):  # type: ignore[misc]  # openvino's bindings are untyped
        def __init__(self, inputs: list[ov.Output] | None = None) -> None:
            super().__init__(self, inputs)

        def validate_and_infer_types(self) -> None:
            self.set_output_type(0, self.get_input_element_type(0), self.get_input_partial_shape(0))

        def clone_with_new_inputs(self, inputs: list[ov.Output]) -> ov.Op:
            return Call(inputs)

        def visit_attributes(self, _visitor: object) -> bool:
            return True

        def has_evaluate(self) -> bool:
            return True

        def evaluate(self, outputs: list[ov.Tensor], inputs: list[ov.Tensor]) -> bool:
            function(inputs[0].data)
            inputs[0].copy_to(outputs[0])
            return True

    return Call([image.output(0)])


def slow(labels: Sequence[str] = RGB) -> ov.Model:
    """`classifier` that takes as many milliseconds as the red value (0–255) of the top left pixel; it cannot be saved."""
    return calling(lambda image: time.sleep(float(image[0, 0, 0, 0]) * 0.255), labels)
