"""Pictures that are normal or strange to a tiny classifier with features, and deployments of it."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import tiny_blocks as blocks
from numpy.typing import NDArray
from openvino import opset13 as op
from tiny_blocks import RGB, SIZE, f32, i64

from aiohooks import Deployment

WEIGHTS = np.repeat(np.eye(3, dtype=np.float32) * 10 / 16, 16, axis=1)
WIDTH = 48


def model(*, features: bool = False) -> ov.Model:
    """A classifier whose last layer reads 48 features, the channels at 4×4; they are an output on request."""
    image = blocks.image()
    cells = op.reshape(op.adaptive_avg_pool(image, i64([4, 4])), i64([1, WIDTH]), False)
    outputs = {"logits": op.matmul(cells, f32(WEIGHTS), False, True)} | ({"feature_vector": cells} if features else {})
    return blocks.model(image, outputs, blocks.info("classification", "Classification", RGB))


def deployment(**options: Any) -> Deployment:
    """The classifier with features."""
    return Deployment.load(model(), **{"features": True, "config": {"INFERENCE_PRECISION_HINT": "f32"}} | options)


def normal(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Pictures of one noisy colour, mostly red, green or blue."""
    rng = np.random.default_rng(seed)
    pictures = []
    for i in range(count):
        colour = np.full(3, 60.0)
        colour[i % 3] = 180
        cells = np.clip(rng.normal(colour, 14, (4, 4, 3)), 0, 255).astype(np.uint8)
        pictures.append(cv2.resize(cells, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST))
    return pictures


def strange(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Chequered pictures."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        cells = (np.indices((4, 4)).sum(0) % 2 * 200)[..., None] + rng.integers(0, 50, (4, 4, 3))
        pictures.append(cv2.resize(cells.astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST))
    return pictures


def write(folder: Path, pictures: list[NDArray[np.uint8]]) -> Path:
    """Write pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, pixels in enumerate(pictures):
        cv2.imwrite(str(folder / f"{i:03}.png"), pixels[:, :, ::-1])
    return folder
