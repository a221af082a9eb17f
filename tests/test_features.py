"""Feature vectors of models that give none, and the last layer of a classifier, out of its graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
import tiny_blocks as blocks
import tiny_models
from inferring import F32, predict, run
from numpy.typing import NDArray
from openvino import opset13 as op
from tiny_blocks import RGB, f32, i64

from aiohooks import Deployment, Frame, LoadError, Prediction
from aiohooks.inference.model_loading import load_model

pytestmark = pytest.mark.anyio

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(3, 48)).astype(np.float32)
BIAS = np.array([0.5, -1, 0.25], np.float32)
PICTURE = RNG.integers(0, 255, (64, 64, 3), np.uint8)


def pooled(image: ov.Node) -> ov.Node:
    return op.reshape(op.adaptive_avg_pool(image, i64([4, 4])), i64([1, 48]), False)


def dense(image: ov.Node, weights: Any = None, **given: Any) -> ov.Node:
    product = op.matmul(
        pooled(image), f32(WEIGHTS) if weights is None else weights, False, given.get("transposed", True)
    )
    return op.add(product, f32(BIAS[None]))


def half(image: ov.Node) -> ov.Node:
    return dense(image, op.convert(op.constant(WEIGHTS.astype(np.float16)), "f32"))


def eight_bits(image: ov.Node) -> ov.Node:
    scale = np.abs(WEIGHTS).max(axis=1, keepdims=True) / 127
    whole = op.convert(op.constant(np.rint(WEIGHTS / scale).astype(np.int8)), "f32")
    return dense(image, op.multiply(whole, f32(scale)))


def fake_quantized(image: ov.Node) -> ov.Node:
    most = float(np.abs(WEIGHTS).max())
    ends = (f32(-most), f32(most))
    return dense(image, op.fake_quantize(f32(WEIGHTS), *ends, *ends, 255))


def convolution(image: ov.Node) -> ov.Node:
    features = op.reshape(pooled(image), i64([1, 48, 1, 1]), False)
    kernel = f32(WEIGHTS[:, :, None, None])
    scores = op.convolution(features, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    return op.reshape(op.add(scores, f32(BIAS.reshape(1, 3, 1, 1))), i64([1, 3]), False)


def gemm(image: ov.Node) -> ov.Node:
    """ONNX's node, as OpenVINO reads it."""
    product = op.matmul(pooled(image), f32(WEIGHTS * 2), False, True)
    return op.add(op.multiply(product, f32(0.5)), op.multiply(f32(1.0), f32(BIAS)))


HEADS: dict[str, Callable[[ov.Node], ov.Node]] = {
    "dense": dense,
    "not transposed": lambda image: dense(image, f32(WEIGHTS.T), transposed=False),
    "softmax": lambda image: op.softmax(dense(image), 1),
    "half": half,
    "eight bits": eight_bits,
    "fake quantized": fake_quantized,
    "convolution": convolution,
    "gemm": gemm,
}


def model(head: Callable[[ov.Node], ov.Node], **outputs: Callable[[ov.Node], ov.Node]) -> ov.Model:
    image = blocks.image()
    made = {"logits": head(image)} | {name: make(image) for name, make in outputs.items()}
    return blocks.model(image, made, blocks.info("classification", "Classification", RGB))


def cells(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What `pooled` makes of a picture."""
    return (picture.reshape(4, 16, 4, 16, 3).mean(axis=(1, 3)) / 255).transpose(2, 0, 1).reshape(-1).astype(np.float32)


@pytest.mark.parametrize("head", HEADS)
def test_what_the_last_layer_reads_becomes_the_feature_vector(head: str) -> None:
    loaded = load_model(model(HEADS[head]), config=F32, features=True)
    prediction = run(loaded, PICTURE)
    assert prediction.feature_vector is not None
    np.testing.assert_allclose(prediction.feature_vector, cells(PICTURE), atol=1e-5)
    assert loaded.description.feature_width == 48
    assert loaded.last_layer is not None
    layer = loaded.last_layer()
    np.testing.assert_allclose(layer.weights, WEIGHTS, atol=0.03)
    np.testing.assert_allclose(layer.bias, BIAS)
    logits = layer.weights @ prediction.feature_vector + layer.bias
    powers = np.exp(logits - logits.max())
    assert prediction.class_scores is not None
    np.testing.assert_allclose(
        powers / powers.sum(), prediction.class_scores, atol=1e-3
    )  # 8 bits are multiplied as such


def test_a_last_layer_before_the_pooling_is_found_and_its_input_averaged() -> None:
    kernel = RNG.normal(size=(3, 3)).astype(np.float32)

    def head(image: ov.Node) -> ov.Node:
        maps = op.convolution(image, f32(kernel[:, :, None, None]), [1, 1], [0, 0], [0, 0], [1, 1])
        return op.reduce_mean(maps, i64([2, 3]), keep_dims=False)

    prediction = predict(model(head), PICTURE, features=True)
    assert prediction.feature_vector is not None
    np.testing.assert_allclose(prediction.feature_vector, PICTURE.mean(axis=(0, 1)) / 255, atol=1e-5)


def test_what_comes_through_a_curve_before_the_pooling_is_no_linear_layer() -> None:
    kernel = f32(RNG.normal(size=(3, 3, 1, 1)))

    def head(image: ov.Node) -> ov.Node:
        maps = op.relu(op.convolution(image, kernel, [1, 1], [0, 0], [0, 0], [1, 1]))
        return op.reduce_mean(maps, i64([2, 3]), keep_dims=False)

    with pytest.raises(LoadError, match=r"its last layer was not found.*features='…'"):
        load_model(model(head), features=True)


def test_a_vector_that_the_model_gives_is_taken_first() -> None:
    source = model(dense, feature_vector=lambda image: blocks.channel_means(image))
    for features in ("auto", True):
        prediction = predict(source, PICTURE, features=features)
        assert prediction.feature_vector is not None
        assert prediction.feature_vector.shape == (3,)
    assert load_model(source).last_layer is not None  # though it is of other features: who uses it has to compare


def test_without_the_option_there_is_none() -> None:
    loaded = load_model(model(dense))
    assert loaded.description.feature_width is None
    assert loaded.last_layer is None
    assert run(loaded, PICTURE).feature_vector is None


KINDS = {
    "detector": tiny_models.detector,
    "yolo": tiny_models.yolo,
    "instance_segmenter": tiny_models.instance_segmenter,
    "segmenter": tiny_models.segmenter,
    "anomaly": tiny_models.anomalib2,
    "keypoints": tiny_models.keypoints,
}


def with_tensor(source: ov.Model, name: str = "half way") -> ov.Model:
    """The model with its picture going through a tensor of that name."""
    [image] = source.inputs
    doubled = op.relu(image.get_node())
    doubled.output(0).get_tensor().set_names({name})
    for target in image.get_target_inputs():
        if target.get_node().get_instance_id() != doubled.get_instance_id():
            target.replace_source_output(doubled.output(0))
    source.validate_nodes_and_infer_types()
    return source


@pytest.mark.parametrize("kind", KINDS)
def test_a_named_tensor_is_averaged_over_its_positions_for_every_task(kind: str) -> None:
    source = with_tensor(KINDS[kind]())
    expected, found = (predict(source, PICTURE, features=features) for features in ("auto", "half way"))
    assert found.feature_vector is not None
    np.testing.assert_allclose(found.feature_vector, PICTURE.mean(axis=(0, 1)) / 255, atol=1e-5)
    assert found.label_names == expected.label_names
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_a_tensor_may_come_before_the_vector_in_the_alphabet() -> None:
    """Compiling joins both into one output with two names, of which OpenVINO tells the first."""
    source = model(dense)
    for node in source.get_ordered_ops():
        if node.get_type_name() == "MatMul":
            node.input_value(0).get_tensor().set_names({"/avgpool/Flatten_output_0"})
    loaded = load_model(source, config=F32, features="/avgpool/Flatten_output_0")
    assert [output.name for output in loaded.description.outputs] == ["logits", "feature_vector"]
    assert loaded.description.feature_width == 48


def test_it_is_there_beside_a_decoder_and_for_tiles() -> None:
    def decode(outputs: Any, frame: Frame) -> Prediction:
        assert set(outputs) == {"means", "boxes"}
        return Prediction.classification((frame.height, frame.width), ["a"], [1], [0])

    found = predict(with_tensor(tiny_models.unknown()), PICTURE, decoder=decode, features="half way")
    assert found.feature_vector is not None
    assert found.feature_vector.shape == (3,)


async def test_tiles_have_the_mean_of_theirs() -> None:
    options = {"parameters": {"tile_size": 64, "tiles_overlap": 0.0}, "features": "half way"}
    picture = np.concatenate([PICTURE, PICTURE[::-1]], axis=1)
    async with Deployment.load(with_tensor(tiny_models.detector()), config=F32, **options) as deployment:
        found = await deployment.infer(picture)
    assert found.feature_vector is not None
    np.testing.assert_allclose(found.feature_vector, picture.mean(axis=(0, 1)) / 255, atol=1e-4)


def test_a_tensor_that_is_not_there_is_an_error_with_those_that_are_like_it() -> None:
    with pytest.raises(LoadError, match=r"no tensor 'half wy'.*half way"):
        load_model(with_tensor(tiny_models.detector()), features="half wy")
    with pytest.raises(LoadError, match=r"its last layer was not found"):
        load_model(tiny_models.detector(), features=True)


async def test_a_saved_deployment_has_its_features(tmp_path: Path) -> None:
    async with Deployment.load(model(dense), config=F32, features=True) as deployment:
        expected = await deployment.infer(PICTURE)
        layer = await deployment.last_layer()
        folder = await deployment.save(tmp_path)
    async with Deployment.load(folder, config=F32) as again:
        found = await again.infer(PICTURE)
        found_layer = await again.last_layer()
    assert found.feature_vector is not None
    assert layer is not None
    assert found_layer is not None
    np.testing.assert_array_equal(found.feature_vector, expected.feature_vector)
    np.testing.assert_array_equal(found_layer.weights, layer.weights)
