"""Two more sets of a few hundred pictures, as inspection has them, with EfficientNet-Lite0: rendered parts of metal, and grey surfaces.

What is strange is near: the same with a flaw. Pictures come out of packages, and everything drawn by chance from a seed.
"""

import cv2
import numpy as np
from ood_beds import GRASS, GRAVEL, MOON, MOST_CUT_OUTS, Array, Bed, Pictures, features_of, linear, read

from aiohooks.demo import assets
from aiohooks.demo.fetch import fetch
from aiohooks.monitors.ood.corruptions import cut_out

SIDE = 160
CENTRE = SIDE // 2
CROP = 128


async def parts(train_pictures: int = 200) -> Bed:
    """Return rings, nuts, gears and bolts on a belt, turned, moved and lit at random; near are a missing piece, a crack, rust."""
    rng = np.random.default_rng(0)
    [belt] = await fetch([GRAVEL])
    grey = cv2.cvtColor(read(belt), cv2.COLOR_RGB2GRAY)
    ground = 60 + 0.25 * cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 3)

    def draw(count: int, flaw: str = "") -> tuple[list[Array], Array]:
        labels = rng.integers(0, 4, count)
        return [_part(int(label), flaw, ground, rng) for label in labels], labels

    strange = {flaw: draw(300, flaw)[0] for flaw in ("missing", "crack", "rust")}
    return await _bed("parts", 4, rng, draw(train_pictures), draw(400)[0], draw(600)[0], strange)


async def surfaces(train_pictures: int = 150) -> Bed:
    """Return crops of bricks, grass, gravel and the moon: training from the left half, all else from the right.

    Near are a scratch, a stain, and a patch of another crop.
    """
    rng = np.random.default_rng(0)
    greys = [cv2.cvtColor(read(path), cv2.COLOR_RGB2GRAY) for path in await fetch([assets.BRICK, GRASS, GRAVEL, MOON])]

    def draw(count: int, *, left: bool = False) -> tuple[list[Array], Array]:
        labels = rng.integers(0, len(greys), count)
        return [_crop(greys[label], left, rng) for label in labels], labels

    strange = {
        "scratch": [_scratch(crop, rng) for crop in draw(300)[0]],
        "stain": [_stain(crop, rng) for crop in draw(300)[0]],
        "patch": [_patch(crop, other, rng) for crop, other in zip(draw(300)[0], draw(300)[0], strict=True)],
    }
    return await _bed("surfaces", 4, rng, draw(train_pictures, left=True), draw(400)[0], draw(600)[0], strange)


async def _bed(
    name: str,
    classes: int,
    rng: np.random.Generator,
    train: tuple[list[Array], Array],
    calibration: list[Array],
    test: list[Array],
    strange: dict[str, list[Array]],
) -> Bed:
    pictures, labels = train
    rows = await features_of(pictures)
    layer = linear(rows, labels, classes)

    async def seen(pictures: list[Array]) -> Pictures:
        rows = await features_of(pictures)
        return Pictures(rows, rows @ layer.weights.T + layer.bias)

    return Bed(
        f"{name}, {len(pictures):,} to train",
        layer,
        Pictures(rows, rows @ layer.weights.T + layer.bias),
        labels,
        await seen(calibration),
        await seen(test),
        {kind: await seen(pictures) for kind, pictures in strange.items()},
        await seen([cut_out(picture, rng) for picture in pictures[:MOST_CUT_OUTS]]),
    )


def _part(kind: int, flaw: str, ground: Array, rng: np.random.Generator) -> Array:
    y, x = (int(rng.integers(0, size - SIDE)) for size in ground.shape)
    picture = np.repeat(ground[y : y + SIDE, x : x + SIDE, None], 3, axis=2)
    mask = _mask(kind, missing=flaw == "missing")
    edge = np.clip(cv2.distanceTransform(mask, cv2.DIST_L2, 3) / 8, 0, 1)
    brushed = cv2.blur(rng.normal(0, 18, mask.shape).astype(np.float32), (31, 1))
    metal = rng.uniform(150, 190) * (0.7 + 0.3 * edge) + brushed + rng.normal(0, 4, mask.shape)
    if flaw == "crack":
        metal[_line(rng, 9, 7.0) > 0] = 50
    inside = mask > 0
    picture[inside] = metal[inside][:, None] * np.array([1, 1, 1.03])
    if flaw == "rust":
        spots = np.zeros_like(mask)
        for _ in range(5):
            centre = tuple(int(value) for value in CENTRE + rng.integers(-45, 45, 2))
            cv2.circle(spots, centre, int(rng.integers(4, 11)), 255, -1)
        rusty = inside & (spots > 0)
        picture[rusty] = picture[rusty] * np.array([0.75, 0.5, 0.35])
    turn = cv2.getRotationMatrix2D((CENTRE, CENTRE), rng.uniform(-180, 180), rng.uniform(0.85, 1.1))
    turn[:, 2] += rng.normal(0, 5, 2)
    turned = cv2.warpAffine(picture, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
    lit = turned * rng.uniform(0.85, 1.15) + rng.normal(0, 3, picture.shape)
    return np.clip(lit, 0, 255).astype(np.uint8)


def _mask(kind: int, *, missing: bool) -> Array:
    mask, c = np.zeros((SIDE, SIDE), np.uint8), CENTRE
    corners = [(c + 50 * np.cos(a), c + 50 * np.sin(a)) for a in np.arange(6) * np.pi / 3]
    match kind:
        case 0:
            cv2.circle(mask, (c, c), 52, 255, -1)
            cv2.circle(mask, (c, c), 24, 0, -1)
        case 1:
            cv2.fillPoly(mask, [np.array(corners, np.int32)], 255)
            cv2.circle(mask, (c, c), 22, 0, -1)
        case 2:
            for a in np.arange(1 if missing else 0, 12) * np.pi / 6:
                tooth = cv2.boxPoints(((c + 52 * np.cos(a), c + 52 * np.sin(a)), (18, 14), np.degrees(a)))
                cv2.fillPoly(mask, [tooth.astype(np.int32)], 255)
            cv2.circle(mask, (c, c), 46, 255, -1)
            cv2.circle(mask, (c, c), 14, 0, -1)
        case _:
            cv2.rectangle(mask, (c - 14, c - 40), (c + 14, c + 58), 255, -1)
            cv2.rectangle(mask, (c - 34, c - 58), (c + 34, c - 38), 255, -1)
    if missing and kind != 2:
        cv2.circle(mask, (c + 46, c) if kind < 2 else (c + 14, c + 40), 15, 0, -1)
    return mask


def _line(rng: np.random.Generator, points: int, step: float) -> Array:
    line, at = np.zeros((SIDE, SIDE), np.uint8), CENTRE + rng.integers(-40, 40, 2).astype(float)
    way, heading = [at], rng.uniform(0, 2 * np.pi)
    for _ in range(points - 1):
        heading += rng.normal(0, 0.5)
        way.append(way[-1] + step * np.array([np.cos(heading), np.sin(heading)]))
    cv2.polylines(line, [np.array(way, np.int32)], False, 255, 2)
    return line


def _crop(grey: Array, left: bool, rng: np.random.Generator) -> Array:
    height, width = grey.shape
    first, last = (0, width // 2) if left else (width // 2, width)
    y, x = int(rng.integers(0, height - CROP)), int(rng.integers(first, last - CROP + 1))
    crop = np.rot90(grey[y : y + CROP, x : x + CROP].astype(np.float32), int(rng.integers(4)))
    contrast, light = rng.uniform(0.85, 1.15, 2)
    crop = (crop - crop.mean()) * contrast + crop.mean() * light + rng.normal(0, 3, crop.shape)
    return np.repeat(np.clip(crop, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _scratch(crop: Array, rng: np.random.Generator) -> Array:
    crop, start, heading = crop.copy(), rng.integers(0, CROP, 2), rng.uniform(0, 2 * np.pi)
    end = start + (rng.uniform(40, 80) * np.array([np.cos(heading), np.sin(heading)])).astype(int)
    tone = int(rng.choice([20, 235]))
    cv2.line(crop, tuple(map(int, start)), tuple(map(int, end)), (tone, tone, tone), 2, cv2.LINE_AA)
    return crop


def _stain(crop: Array, rng: np.random.Generator) -> Array:
    spot = np.zeros((CROP, CROP), np.float32)
    centre, axes = (tuple(map(int, rng.integers(low, high, 2))) for low, high in ((30, 98), (12, 28)))
    cv2.ellipse(spot, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return np.clip(crop * (1 - 0.45 * cv2.GaussianBlur(spot, (0, 0), 3)[..., None]), 0, 255).astype(np.uint8)


def _patch(crop: Array, other: Array, rng: np.random.Generator) -> Array:
    crop, side = crop.copy(), int(rng.integers(36, 52))
    y, x = rng.integers(0, CROP - side, 2)
    crop[y : y + side, x : x + side] = other[:side, :side]
    return crop
