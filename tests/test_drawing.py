import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prediction_strategies import predictions, sizes

from aiohooks.annotation import (
    Annotation,
    Keypoint,
    Label,
    Point,
    Polygon,
    Rectangle,
    RotatedRectangle,
    ScoredLabel,
    Shape,
)
from aiohooks.drawing import draw_annotations
from aiohooks.drawing.captions import Caption, Layout, Line
from aiohooks.drawing.colors import ink, label_colors
from aiohooks.drawing.lettering import length, letters, shortened
from aiohooks.prediction import Prediction

RED, GREEN, BLUE = (220, 20, 20), (20, 200, 20), (20, 20, 220)
CAT = Label(name="cat", color="#dc1414")
DOG = Label(name="dog", color="#14c814ff")


def canvas(height: int = 240, width: int = 320, level: int = 100) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def one(shape: Shape, *labels: Label) -> list[Annotation]:
    return [Annotation(shape, tuple(ScoredLabel(label, 0.5) for label in labels))]


def has(image: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Which pixels have exactly this colour."""
    return (image == color).all(axis=2)


def near(pixel: np.ndarray, color: tuple[int, int, int]) -> bool:
    """Whether a pixel has this colour but for smoothing."""
    return bool(np.abs(pixel.astype(int) - color).max() < 20)


def extent(where: np.ndarray) -> list[int]:
    """The rows and columns, first to last, that hold all true pixels."""
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    return [int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1])]


@given(predictions(), st.data())
def test_every_prediction_is_drawn_on_a_copy(prediction: Prediction, data: st.DataObject) -> None:
    image = np.full((*prediction.size, 3), data.draw(st.integers(0, 255)), np.uint8)
    before = image.copy()
    image.setflags(write=False)
    drawn = prediction.draw(image)
    assert drawn.dtype == np.uint8
    assert drawn.shape == image.shape
    assert drawn.flags.writeable
    assert not np.shares_memory(drawn, image)
    np.testing.assert_array_equal(image, before)


def test_where_nothing_is_nothing_is_drawn() -> None:
    np.testing.assert_array_equal(draw_annotations(canvas(), []), canvas())


def test_a_box_has_the_colour_of_its_label_and_leaves_its_inside_alone() -> None:
    drawn = draw_annotations(canvas(), one(Rectangle(40, 100, 200, 80), CAT, DOG))
    edges = [drawn[140, 40], drawn[140, 240], drawn[100, 200], drawn[180, 140]]
    assert [edge.tolist() for edge in edges] == [list(RED)] * 4
    np.testing.assert_array_equal(drawn[104:177, 44:237], 100)
    assert has(drawn, GREEN).any(), "the caption has a line for each label"


def test_the_side_of_a_box_at_the_edge_of_the_picture_is_seen() -> None:
    drawn = draw_annotations(canvas(960, 1280), one(Rectangle(0, 0, 1280, 900), CAT))
    assert has(drawn, RED)[500, [0, 1, 2, -3, -2, -1]].all(), "as thick as elsewhere"


def test_a_polygon_is_filled_translucently_within_its_outline() -> None:
    square = Polygon(tuple(Point(x, y) for x, y in ((50, 60), (150, 60), (150, 160), (50, 160))))
    drawn = draw_annotations(canvas(), one(square, CAT))
    assert drawn[110, 100].tolist() == [round(0.6 * 100 + 0.4 * part) for part in RED]
    assert near(drawn[110, 50], RED)
    assert drawn[110, 40].tolist() == [100] * 3


def test_a_rotated_box_is_outlined_along_its_sides() -> None:
    drawn = draw_annotations(canvas(), one(RotatedRectangle(angle=45, x=160, y=120, width=100, height=100), CAT))
    half_diagonal = 100 / np.sqrt(2)
    assert near(drawn[120, round(160 + half_diagonal)], RED)
    assert drawn[120, 160].tolist() == [100] * 3
    assert drawn[75, 115].tolist() == [100] * 3, "outside, though inside the upright box"


def test_masks_are_filled_in_place_of_boxes() -> None:
    masks = np.zeros((1, 240, 320), np.uint8)
    masks[0, 60:160, 50:150] = 1
    masks[0, 90:130, 80:120] = 0
    drawn = draw_annotations(canvas(), one(Rectangle(50, 60, 200, 100), CAT), masks=masks)
    assert drawn[75, 65].tolist() == [round(0.6 * 100 + 0.4 * part) for part in RED]
    assert drawn[110, 100].tolist() == [100] * 3, "a hole stays a hole"
    assert drawn[110, 250].tolist() == [100] * 3, "no box"
    nothing = draw_annotations(canvas(), one(Rectangle(50, 60, 200, 100)), masks=np.zeros_like(masks))
    np.testing.assert_array_equal(nothing, canvas())


def test_small_objects_are_drawn_over_large_ones() -> None:
    small, large = one(Rectangle(100, 100, 20, 20), CAT), one(Rectangle(100, 80, 200, 140), DOG)
    for annotations in (small + large, large + small):
        assert draw_annotations(canvas(), annotations)[119, 100].tolist() == list(RED)


def test_the_label_of_a_whole_picture_is_written_in_its_corner() -> None:
    drawn = draw_annotations(canvas(), one(Rectangle(0, 0, 320, 240), CAT, DOG))
    top, left, bottom, right = extent((drawn != 100).any(axis=2))
    assert (top, left) == (0, 0)
    assert bottom < 60
    assert right < 120
    assert drawn[1, 1].tolist() == list(RED)
    assert drawn[bottom, 1].tolist() == list(GREEN)


def test_probabilities_are_written() -> None:
    def corner(probability: float) -> bytes:
        label = (ScoredLabel(CAT, probability),)
        return draw_annotations(canvas(), [Annotation(Rectangle(0, 0, 320, 240), label)]).tobytes()

    assert corner(0.25) != corner(0.75)
    assert corner(0.25) == corner(0.2501)


def test_keypoints_are_dots_and_hidden_ones_rings() -> None:
    drawn = draw_annotations(canvas(), one(Keypoint(60, 120), CAT) + one(Keypoint(200, 120, is_visible=False), DOG))
    assert drawn[120, 60].tolist() == list(RED)
    assert drawn[120, 200].tolist() == [100] * 3
    assert near(drawn[120, 203], GREEN)
    assert drawn[120, 57].min() > 150, "the white rim"


def test_the_name_of_a_keypoint_is_beside_it_and_covers_no_other() -> None:
    drawn = draw_annotations(canvas(), one(Keypoint(160, 120), CAT) + one(Keypoint(175, 120), DOG))
    assert drawn[120, 160].tolist() == list(RED)
    assert drawn[120, 175].tolist() == list(GREEN)
    top, left, bottom, right = extent((drawn != 100).any(axis=2))
    assert 105 < top < bottom < 135
    assert left < 140
    assert right > 195


def test_a_label_map_is_blended_with_a_legend_in_place_of_captions() -> None:
    label_map = np.zeros((240, 320), np.uint8)
    label_map[100:200, 100:200] = 2
    outline = one(Polygon((Point(100, 100), Point(199, 100), Point(199, 199), Point(100, 199))), DOG)
    drawn = draw_annotations(canvas(), outline, label_map=label_map, labels=(CAT, DOG))
    assert drawn[150, 150].tolist() == [round(0.6 * 100 + 0.4 * part) for part in GREEN]
    assert drawn[150, 250].tolist() == [100] * 3
    assert drawn[1, 1].tolist() == list(GREEN)
    assert not has(drawn, RED).any()
    assert (drawn[60:98] == 100).all(), "no caption at the outline"


def test_a_label_map_may_hold_more_than_the_table_knows() -> None:
    drawn = draw_annotations(canvas(), [], label_map=np.full((240, 320), 9, np.uint8), labels=(CAT,))
    assert (drawn != 100).all()


@pytest.mark.parametrize("scale", [np.float32(1), np.uint8(255)])
def test_a_heat_map_is_strong_where_it_is_hot(scale: np.generic) -> None:
    heat = np.zeros((240, 320), np.float32)
    heat[:, 160:] = 1
    drawn = draw_annotations(canvas(), [], heat_map=(heat * scale).astype(scale.dtype)).astype(int)
    assert (drawn[:, :160] == 100).all()
    assert (drawn[:, 160:, 0] > drawn[:, 160:, 2] + 50).all(), "hot is red"


def test_places_far_outside_the_picture_do_no_harm() -> None:
    far = 1e9
    shapes: list[Shape] = [
        Rectangle(-far, -far, 2 * far, 2 * far),
        Polygon((Point(-far, 0), Point(far, far), Point(10, 10))),
        Polygon((Point(far, far),)),
        RotatedRectangle(30, far, -far, far, far),
        Keypoint(far, -far),
    ]
    for shape in shapes:
        assert draw_annotations(canvas(), one(shape, CAT)).shape == (240, 320, 3)


@pytest.mark.parametrize("size", [(2160, 3840), (240, 320), (64, 64), (32, 32)])
def test_captions_are_readable_and_grow_with_the_picture(size: tuple[int, int]) -> None:
    height, width = size
    drawn = draw_annotations(canvas(*size), one(Rectangle(0, 0, width, height), CAT))
    top, left, bottom, right = extent((drawn != 100).any(axis=2))
    assert (top, left) == (0, 0)
    assert bottom - top >= 10, "letters of eight pixels"
    assert bottom - top >= height / 50
    assert right < width
    assert drawn[: bottom + 1, : right + 1].min(axis=2).max() > 240, "white letters"


colors = st.tuples(*[st.integers(0, 255)] * 3)
lines = st.lists(
    st.builds(Line, st.text(max_size=30), st.sampled_from(["", "50%", "100%"]), colors), min_size=1, max_size=4
)


@given(
    sizes,
    st.lists(st.tuples(lines, st.tuples(*[st.floats(-50, 150)] * 4)), max_size=6),
    st.integers(8, 40),
    st.booleans(),
)
def test_captions_stay_within_the_picture(
    room: tuple[int, int],
    captions: list[tuple[list[Line], tuple[float, float, float, float]]],
    font_size: int,
    beside: bool,
) -> None:
    layout = Layout(room)
    picture = np.zeros((*room, 3), np.uint8)
    for lines_, around in captions:
        caption = Caption(lines_, font_size, room)
        x, y = layout.place(caption, around, beside=beside)
        assert 0 <= x <= x + caption.width <= room[1]
        assert 0 <= y <= y + caption.height <= room[0]
        caption.draw(picture, x, y)


@given(st.lists(st.tuples(st.floats(0, 900), st.floats(0, 900)), min_size=2, max_size=12), st.booleans())
def test_captions_do_not_cover_each_other_where_there_is_room(corners: list[tuple[float, float]], beside: bool) -> None:
    layout = Layout((1000, 1000))
    caption = Caption([Line("cat", "50%", RED)], 20, (1000, 1000))
    covered = np.zeros((1000, 1000), np.int64)
    for x1, y1 in corners:
        x, y = layout.place(caption, (x1, y1, x1 + 60, y1 + 40), beside=beside)
        covered[y : y + caption.height, x : x + caption.width] += 1
    assert covered.max() == 1


def test_a_caption_keeps_off_keypoints() -> None:
    layout = Layout((100, 300))
    caption = Caption([Line("left eye", "", RED)], 12, (100, 300))
    layout.reserve((160, 40, 172, 60))
    x, y = layout.place(caption, (140, 45, 150, 55), beside=True)
    assert x + caption.width <= 160
    assert abs(y - 50) < 40


def test_text_is_cut_short_to_fit() -> None:
    assert shortened("dog", 20, 1000) == "dog"
    short = shortened("a long name of a label", 20, 100)
    assert short.startswith("a long")
    assert short.endswith("…")
    assert length(short, 20) <= 100
    assert shortened("dog", 20, 1) == "d"
    assert len(shortened("x" * 100_000, 10, 10**9)) <= 200


@pytest.mark.parametrize(
    "name", ["Bär", "süß", "Łódź", "кошка", "σκύλος", "犬", "고양이", "line\nbreak", "\udcff", "🐶"]
)
def test_names_in_any_script_are_told_apart(name: str) -> None:
    """OpenCV draws question marks; a letter that no font here has is drawn as its code."""
    drawn = letters(name, 20)
    question_marks = letters("?" * len(name.encode(errors="replace")), 20)
    assert drawn.shape != question_marks.shape or (drawn != question_marks).any()
    assert drawn.any() == name.isprintable() or name == "line\nbreak"
    other = letters(name[:-1] + "猫", 20)
    assert drawn.shape != other.shape or (drawn != other).any()


def test_without_system_fonts_letters_fall_back_to_their_base_or_code(tmp_path: Path) -> None:
    code = (
        "from aiohooks.drawing.lettering import letters\n"
        "same = lambda a, b: letters(a, 20).tobytes() == letters(b, 20).tobytes()\n"
        "print(same('Bär', 'Bar'), same('犬', '[72AC]'), letters('犬', 20).any())"
    )
    nowhere = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_DATA_DIRS": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=nowhere)
    assert done.stdout.split() == ["True", "True", "True"]
    assert "no font has ['犬'] of the label '犬'" in done.stderr


def test_a_label_without_a_good_colour_gets_one_by_its_name() -> None:
    names = [f"class {i}" for i in range(12)]
    for broken in ("#118005aff", "", "red", "#12", "#ff00gg", Label(name="").color):
        found = label_colors([Label(name=name, color=broken) for name in names])
        assert len(set(found.values())) == len(names), "distinct"
        for name in names:
            alone = Label(name=name, color=broken)
            assert label_colors([alone]) == label_colors([Label(name=name, color=broken)])
    same = [label_colors([Label(name="cat", color=color)]).popitem()[1] for color in ("", "#118005aff")]
    assert same[0] == same[1]


def test_more_labels_than_colours_still_have_one_each() -> None:
    labels = [Label(name=f"class {i}") for i in range(100)]
    found = label_colors(labels)
    assert set(found) == set(labels)
    assert label_colors([CAT, CAT, DOG]) == {CAT: RED, DOG: GREEN}


def test_ink_is_white_on_strong_colours_and_black_on_light_ones() -> None:
    assert [ink(color) for color in ((200, 60, 60), (140, 80, 220))] == [(255, 255, 255)] * 2
    assert [ink(color) for color in ((255, 200, 0), (0, 200, 200))] == [(0, 0, 0)] * 2


@given(colors)
def test_ink_is_readable_on_any_colour(color: tuple[int, int, int]) -> None:
    def luminance(rgb: tuple[int, int, int]) -> float:
        linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(color), luminance(ink(color))), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 3, "contrast for large text by WCAG"
