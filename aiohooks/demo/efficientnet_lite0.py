"""Builds EfficientNet-Lite0 for ImageNet-1k as an OpenVINO model that Model API understands.

The network: M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019), in
its Lite form: no squeeze-and-excitation, ReLU6 instead of swish, stem and head not scaled.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

from aiohooks.demo import cache
from aiohooks.demo.assets import IMAGENET_LEMMAS, IMAGENET_SYNSETS, LITE0_WEIGHTS
from aiohooks.demo.fetch import Progress, fetch
from aiohooks.demo.torch_weights import read_state_dict

CLASSIFIER_FILES = (LITE0_WEIGHTS, IMAGENET_SYNSETS, IMAGENET_LEMMAS)

# Repeats, stride of the first, and whether its blocks expand their channels; kernel sizes are the weights' own.
_STAGES = ((1, 1, False), (2, 2, True), (2, 2, True), (3, 2, True), (3, 1, True), (4, 2, True), (1, 1, True))
_BATCH_NORM_EPSILON = 1e-3
# The network was evaluated on the central 224 of 256 pixels ("crop padding" 32).
_INPUT, _CROP = 256, 224
_REVISION = 1  # count up when the model built here changes

Weights = Mapping[str, NDArray[Any]]


async def classifier(progress: Progress | None = None) -> Path:
    """Return the path of the classifier's ``.xml``; it is built in the user's cache if it is not there.

    Input: one RGB picture. Outputs: ``logits`` [1, 1000] and ``feature_vector`` [1, 1280].

    Args:
        progress: called while packages are downloaded.

    Raises:
        LoadError: the weights cannot be fetched or read.
    """
    path = classifier_path()
    if not (path.is_file() and path.with_suffix(".bin").is_file()):
        weights, synsets, lemmas = await fetch(CLASSIFIER_FILES, progress=progress)
        await anyio.to_thread.run_sync(_save, weights, synsets, lemmas, path)
    return path


def classifier_path() -> Path:
    """Return where the classifier's ``.xml`` is kept once it is built; another OpenVINO builds its own."""
    version = ov.get_version().split("-")[0]
    return cache.cache_dir() / f"efficientnet-lite0-{_REVISION}-openvino-{version}" / "efficientnet_lite0.xml"


def class_names(synsets: str, lemmas: str) -> dict[str, str]:
    """Return the names of classes by WordNet id, in the order of the outputs: sorted by id.

    Args:
        synsets: WordNet ids, one a line.
        lemmas: for each WordNet id a line with the id, a tab, and its names, the usual one first.
    """
    names = dict(line.split("\t", 1) for line in lemmas.splitlines())
    return {synset: names[synset].split(", ")[0] for synset in sorted(synsets.split())}


def build(weights: Weights) -> ov.Model:
    """Return the network, batch normalisation folded into its convolutions.

    Args:
        weights: the state dict, by the names of the PyTorch implementation (``_conv_stem.weight`` …).
    """
    images = op.parameter([1, 3, _INPUT, _INPUT], np.float32, name="images")
    images.set_layout(ov.Layout("NCHW"))
    margin = (_INPUT - _CROP) // 2
    x = op.slice(images, np.array([margin, margin]), np.array([margin + _CROP] * 2), np.array([1, 1]), np.array([2, 3]))
    x = _convolution(weights, x, "_conv_stem", "_bn0", stride=2)
    index = 0
    for repeats, first_stride, expands in _STAGES:
        for repeat in range(repeats):
            x = _block(
                weights, x, f"_blocks.{index}.", first_stride if repeat == 0 else 1, expands, residual=repeat > 0
            )
            index += 1
    x = _convolution(weights, x, "_conv_head", "_bn1")
    features = op.reduce_mean(x, np.array([2, 3]), keep_dims=False)
    logits = op.add(op.matmul(features, weights["_fc.weight"], False, True), weights["_fc.bias"][None])
    for node, name in ((images, "images"), (logits, "logits"), (features, "feature_vector")):
        node.output(0).set_names({name})
    return ov.Model([op.result(logits), op.result(features)], [images], "efficientnet_lite0")


def describe(model: ov.Model, names: Mapping[str, str]) -> None:
    """Write into a model what Model API needs to run it.

    Its ``labels`` are separated by spaces and hold ``_`` for a space; ``label_info`` holds them as they are.
    """
    labels = list(names.values())
    information = {
        "model_type": "Classification",
        "task_type": "classification",
        "labels": " ".join(label.replace(" ", "_") for label in labels),
        "label_ids": " ".join(names),
        "label_info": json.dumps({"label_names": labels, "label_ids": list(names), "label_groups": [labels]}),
        "multilabel": "False",
        "hierarchical": "False",
        "output_raw_scores": "True",
        "confidence_threshold": "0.0",
        "resize_type": "crop",
        "mean_values": "127.0 127.0 127.0",
        "scale_values": "128.0 128.0 128.0",
        "reverse_input_channels": "False",
    }
    for key, value in information.items():
        model.set_rt_info(value, ["model_info", key])


def _save(weights: Path, synsets: Path, lemmas: Path, path: Path) -> None:
    model = build(read_state_dict(weights))
    describe(model, class_names(synsets.read_text("utf-8"), lemmas.read_text("utf-8")))
    with tempfile.TemporaryDirectory(prefix="aiohooks-") as folder:
        saved = Path(folder) / path.name
        ov.save_model(model, saved, compress_to_fp16=True)
        for suffix in (".bin", ".xml"):  # who finds the .xml finds its weights
            cache.put(path.with_suffix(suffix), saved.with_suffix(suffix).read_bytes())


def _block(weights: Weights, x: ov.Node, prefix: str, stride: int, expands: bool, *, residual: bool) -> ov.Node:
    """Return an inverted residual block: expand, filter each channel, project."""
    y = _convolution(weights, x, f"{prefix}_expand_conv", f"{prefix}_bn0") if expands else x
    y = _convolution(weights, y, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride=stride, depthwise=True)
    y = _convolution(weights, y, f"{prefix}_project_conv", f"{prefix}_bn2", relu=False)
    return op.add(y, x) if residual else y


def _convolution(
    weights: Weights, x: ov.Node, name: str, norm: str, *, stride: int = 1, depthwise: bool = False, relu: bool = True
) -> ov.Node:
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + np.float32(_BATCH_NORM_EPSILON))
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    kernel = weights[f"{name}.weight"] * scale[:, None, None, None]
    strides, no_pads, dilations = [stride, stride], [0, 0], [1, 1]
    if depthwise:
        y = op.group_convolution(x, kernel[:, None], strides, no_pads, no_pads, dilations, "same_upper")
    else:
        y = op.convolution(x, kernel, strides, no_pads, no_pads, dilations, "same_upper")
    y = op.add(y, bias[None, :, None, None])
    return op.clamp(y, 0.0, 6.0) if relu else y
