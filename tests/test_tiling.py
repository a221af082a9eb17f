"""Which tiles there are, and what becomes of what was found in them: against Model API's tilers, part by part."""

from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from model_api.models import MaskRCNNModel
from model_api.models.utils import multiclass_nms
from model_api.tilers import DetectionTiler, SemanticSegmentationTiler, Tiler

from aiohooks.inference import tile_objects, tile_pixels
from aiohooks.inference.labels import LabelTable, unnamed
from aiohooks.inference.tile_explanations import merged_maps
from aiohooks.inference.tile_findings import Explained, Pixels
from aiohooks.inference.tile_objects import distinct
from aiohooks.inference.tile_pixels import PixelMerge
from aiohooks.inference.tiling import Tile, Tiling
from aiohooks.prediction import Task

SIZES = st.tuples(st.integers(1, 90), st.integers(1, 90))


@st.composite
def tilings(draw: st.DrawFn, smallest: int = 1) -> Tiling:
    tiling = Tiling(
        tile_size=draw(st.integers(smallest, 50)),
        tiles_overlap=draw(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]) | st.floats(0, 0.9)),
        tile_with_full_img=draw(st.booleans()),
    )
    assume(tiling.step >= max(1, smallest // 4))
    return tiling


# the tiles


@given(tilings(), SIZES)
def test_the_tiles_are_those_of_model_api(tiling: Tiling, size: tuple[int, int]) -> None:
    expected = Tiler._tile(tiling, np.empty((*size, 3), np.uint8))
    assert [list(tile) for tile in tiling.tiles(*size)] == expected


@given(tilings(), SIZES)
def test_tiles_cover_every_pixel_and_overlap_as_they_should(tiling: Tiling, size: tuple[int, int]) -> None:
    height, width = size
    tiles = list(tiling.tiles(height, width))
    if tiling.tile_with_full_img:
        assert tiles.pop(0) == (0, 0, width, height)
    seen = np.zeros(size, int)
    for tile in tiles:
        assert 0 <= tile.x1 < tile.x2 <= width
        assert 0 <= tile.y1 < tile.y2 <= height
        assert tile.x2 - tile.x1 == tiling.tile_size or tile.x2 == width
        assert tile.y2 - tile.y1 == tiling.tile_size or tile.y2 == height
        tile.cut_from(seen)[...] += 1
    assert seen.min() >= 1
    columns = sorted({tile.x1 for tile in tiles})
    assert len({tile.y1 for tile in tiles}) * len(columns) == len(tiles)
    for left, right in pairwise(columns):
        assert -1e-9 < left + tiling.tile_size - right - tiling.tile_size * tiling.tiles_overlap < 1 + 1e-9


def test_a_tile_says_where_it_is() -> None:
    assert str(Tile(200, 0, 600, 400)) == "tile x 200–600, y 0–400"


# boxes


@given(
    st.lists(
        st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(0, 30)] * 2, st.integers(0, 2), st.integers(0, 20)),
        max_size=40,
    ),
    st.sampled_from([0.0, 0.3, 0.45, 1.0]),
    st.sampled_from([0, 1, 3, 100]),
)
def test_the_boxes_that_remain_are_those_of_model_api(rows: list[tuple[int, ...]], threshold: float, most: int) -> None:
    table = np.array(rows, np.float64).reshape(-1, 6)
    boxes = np.column_stack([table[:, :2], table[:, :2] + table[:, 2:4]])
    scores, classes = (table[:, 5] / 20).astype(np.float32), table[:, 4].astype(np.int64)
    expected = multiclass_nms(boxes, scores.astype(np.float64), table[:, 4], threshold, most)
    assert distinct(boxes, scores, classes, threshold, most).tolist() == expected


# masks


@given(
    st.tuples(*[st.integers(0, 80)] * 2, *[st.integers(2, 120)] * 2),
    st.sampled_from([2, 7, 28]),
    st.integers(0, 2**32 - 1),
)
def test_nothing_of_a_mask_is_outside_of_what_is_kept_of_it(box: tuple[int, ...], side: int, seed: int) -> None:
    x, y, width, height = box
    corners, mask = (
        np.array([x, y, x + width, y + height], float),
        np.random.default_rng(seed).uniform(0, 3, (side, side)),
    )
    drawn = MaskRCNNModel._postprocess_single_mask(None, corners, mask, 150, 170)
    draw = tile_objects.drawing(
        SimpleNamespace(_postprocess_single_mask=partial(MaskRCNNModel._postprocess_single_mask, None))
    )
    part, left, top = draw(corners, mask, Tile(0, 0, 1, 1), (150, 170))
    placed = np.zeros_like(drawn)
    placed[top : top + part.shape[0], left : left + part.shape[1]] = part
    np.testing.assert_array_equal(placed, drawn)


# saliency maps


@given(tilings(smallest=8), SIZES, st.integers(2, 7), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_saliency_maps_are_merged_as_model_api_does(
    tiling: Tiling, size: tuple[int, int], side: int, floats: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    tiles = list(tiling.tiles(*size))
    maps = [random.uniform(0, 255, (2, side, side + 1)) for _ in tiles]
    maps = [one.astype(np.float32 if floats else np.uint8) for one in maps]
    try:
        expected = DetectionTiler._merge_saliency_maps(tiling, [one[None] for one in maps], (*size, 3), tiles)[0]
    except IndexError:
        assume(False)  # it reads beyond a map of a tile whose place is larger by rounding
    merged = merged_maps(maps, tiles, size, tiling)
    assert merged is not None
    if len(maps) == 1:
        expected = np.rint(expected)
    np.testing.assert_array_equal(merged, expected)


def test_a_saliency_map_whose_place_is_larger_by_rounding_is_stretched() -> None:
    tiling = Tiling(tile_size=11, tiles_overlap=0, tile_with_full_img=False)
    tiles = list(tiling.tiles(90, 90))
    maps = [np.full((1, 3, 3), 100, np.uint8) for _ in tiles]
    with pytest.raises(IndexError):
        DetectionTiler._merge_saliency_maps(tiling, [one[None] for one in maps], (90, 90, 3), tiles)
    merged = merged_maps(maps, tiles, (90, 90), tiling)
    assert merged is not None
    assert merged.shape == (1, 24, 24)


def test_no_maps_no_map() -> None:
    assert (
        merged_maps([None, None], list(Tiling(tile_size=5, tiles_overlap=0).tiles(5, 5)), (5, 5), Tiling(tile_size=5))
        is None
    )


# pixels


@given(tilings(smallest=4), SIZES, st.integers(2, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_scores_of_pixels_are_averaged_as_model_api_does(
    tiling: Tiling, size: tuple[int, int], classes: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    tiles = list(tiling.tiles(*size))
    soft = [random.uniform(0, 1, (6, 7, classes)).astype(np.float32) for _ in tiles]
    self = SimpleNamespace(model=SimpleNamespace(params=SimpleNamespace(labels=range(classes))))
    results = [
        {"coord": tile, "masks": tile_pixels._nearest(one, tile.y2 - tile.y1, tile.x2 - tile.x1)}
        for tile, one in zip(tiles, soft, strict=True)
    ]
    expected = SemanticSegmentationTiler._merge_results(self, results, (*size, 3))
    merge = PixelMerge(size, tiling, LabelTable(unnamed(classes - 1)))
    for tile, one in zip(tiles, soft, strict=True):
        merge.add(tile, Pixels(one, Explained(None, None)))
    prediction = merge.finish()
    assert prediction.task is Task.SEGMENTATION
    np.testing.assert_array_equal(prediction.label_map, expected.resultImage)
    np.testing.assert_allclose(merge._scores, expected.soft_prediction.max(axis=2), rtol=1e-6)


def test_logits_are_averaged_first_and_then_made_probabilities() -> None:
    tiling = Tiling(tile_size=4, tiles_overlap=0.5, tile_with_full_img=False)
    merge = PixelMerge((4, 6), tiling, LabelTable(unnamed(1)))
    for tile, logit in zip(tiling.tiles(4, 6), (2.0, 2.0, 4.0, 4.0, 6.0, 0.5), strict=True):
        merge.add(tile, Pixels(np.full((4, 4, 2), [0, logit], np.float32), Explained(None, None)))
    merge.finish()
    expected = 1 / (1 + np.exp(-np.array([2, 2, 3, 3, 5, 5])))
    np.testing.assert_allclose(merge._scores[0], expected, rtol=1e-6)


def test_scores_of_all_classes_are_kept_for_a_strip_only(monkeypatch: pytest.MonkeyPatch) -> None:
    tiling = Tiling(tile_size=100, tiles_overlap=0.5)
    merge = PixelMerge((200, 5000), tiling, LabelTable(unnamed(3)))
    for tile in tiling.tiles(200, 5000):
        merge.add(tile, Pixels(np.full((8, 8, 4), 0.25, np.float32), Explained(None, None)))
        assert merge._sums is None or merge._sums.shape == (200, 100, 4)
    assert merge.finish().label_map.shape == (200, 5000)  # type: ignore[union-attr]
