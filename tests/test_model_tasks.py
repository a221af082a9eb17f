"""What each kind of model makes of a picture whose answer is known."""

import numpy as np
import pytest
import tiny_models
from inferring import F32, predict, run
from tiny_models import picture, plain

from aiohooks.annotation import Keypoint, RotatedRectangle
from aiohooks.inference import wrapping
from aiohooks.inference.model_loading import load_model
from aiohooks.prediction import Task

RED = plain(red=230)
TWO = {"red": (8, 4, 24, 20), "blue": (30, 30, 60, 50)}


def close(values: object, expected: object, tolerance: float = 1e-3) -> bool:
    return bool(np.allclose(np.asarray(values, float), np.asarray(expected, float), atol=tolerance))


# classification


def test_multi_class_says_one_label_of_the_whole_picture() -> None:
    prediction = predict(tiny_models.classifier(), plain(red=230, green=100, size=100))
    assert (prediction.task, prediction.size, prediction.label_names) == (Task.CLASSIFICATION, (100, 100), ("red",))
    assert prediction.boxes.tolist() == [[0, 0, 100, 100]]
    powers = np.exp([230 / 25.5, 100 / 25.5, 0])
    assert prediction.class_scores is not None
    assert close(prediction.class_scores, powers / powers.sum())
    assert close(prediction.scores, powers[:1] / powers.sum())


def test_topk_says_more_labels_best_first() -> None:
    prediction = predict(tiny_models.classifier(), plain(red=60, green=230, blue=100), parameters={"topk": 2})
    assert prediction.label_names == ("green", "blue")
    assert len(prediction) == 1


def test_reverse_input_channels_feeds_bgr() -> None:
    assert predict(tiny_models.classifier(), RED).label_names == ("red",)
    assert predict(tiny_models.classifier(), RED, parameters={"reverse_input_channels": True}).label_names == ("blue",)


def test_multi_label_says_every_label_above_the_threshold_of_one_object() -> None:
    prediction = predict(tiny_models.multi_label(), plain(red=200, blue=250))
    assert prediction.label_names == ("red", "blue")
    assert prediction.object_indices.tolist() == [0, 0]
    assert len(predict(tiny_models.multi_label(), plain())) == 0
    assert predict(tiny_models.multi_label(), plain(red=130), parameters={"confidence_threshold": 0.9}).is_empty


def test_label_tree_says_the_labels_whose_parents_are_said_too() -> None:
    prediction = predict(tiny_models.hierarchical(), plain(red=250, green=200))
    assert set(prediction.label_names) == {"light", "pale red", "green tint"}
    assert prediction.class_scores is not None
    best = prediction.class_scores[prediction.label_indices]
    assert close(best, prediction.scores)
    assert predict(tiny_models.hierarchical(), plain(red=100)).label_names == ("dark",)


def test_label_tree_scores_follow_the_labels_not_the_heads() -> None:
    model = tiny_models.hierarchical()
    order = ["green_tint", "pale_blue", "dark", "light", "pale_red"]
    model.set_rt_info(" ".join(order), ["model_info", "labels"])
    prediction = predict(model, plain(red=250, green=200))
    assert set(prediction.label_names) == {"light", "pale red", "green tint"}
    assert prediction.class_scores is not None
    assert close(prediction.class_scores[prediction.label_indices], prediction.scores)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_both_layouts_are_understood(layout: str) -> None:
    assert predict(tiny_models.classifier(layout=layout), RED).label_names == ("red",)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_model_of_free_size_gets_the_picture_in_its_own_size(layout: str) -> None:
    fixed = predict(tiny_models.classifier(layout=layout), plain(red=230, green=180))
    free = predict(tiny_models.classifier(layout=layout, dynamic=True), plain(red=230, green=180, size=90)[:50])
    assert free.size == (50, 90)
    assert close(free.class_scores, fixed.class_scores)


def test_percentiles_which_the_graph_cannot_compute_are_computed_before() -> None:
    image = np.random.default_rng(0).integers(0, 40, (64, 64, 3), np.uint8)
    image[..., 2] += 60
    dim = predict(
        tiny_models.classifier(scale_values="1 1 1"), image // 10 * 10, parameters={"intensity_mode": "percentile"}
    )
    assert dim.label_names == ("blue",)
    low, high = np.percentile(image // 10 * 10, [1, 99])
    logits = 10 * np.clip((image // 10 * 10 - low) / (high - low), 0, 1).mean((0, 1))
    assert close(dim.class_scores, np.exp(logits) / np.exp(logits).sum())


def test_of_equally_likely_classes_it_is_the_last_as_in_model_api() -> None:
    assert predict(tiny_models.classifier(), plain(red=9, green=99, blue=99)).label_names == ("blue",)


def test_a_grey_model_gets_the_picture_in_grey_and_its_probabilities_stay_as_they_are() -> None:
    grey = predict(tiny_models.grey_classifier(), plain(red=255))  # 0.299 of white
    assert close(grey.class_scores, [0.299, 0.701])


# detection


def test_detector_finds_boxes_in_pixels_of_the_frame() -> None:
    prediction = predict(tiny_models.detector(), picture(**TWO))
    assert prediction.label_names == ("red", "blue")
    assert prediction.boxes.tolist() == [[8, 4, 24, 20], [30, 30, 60, 50]]
    assert close(prediction.scores, [230 / 255] * 2)
    wide = picture((128, 192), red=(24, 8, 72, 40))
    assert predict(tiny_models.detector(), wide).boxes.tolist() == [[24, 8, 72, 40]]


def test_detector_finds_nothing_in_the_dark_or_below_the_threshold() -> None:
    assert len(predict(tiny_models.detector(), plain())) == 0
    assert len(predict(tiny_models.detector(), picture(**TWO), parameters={"confidence_threshold": 0.95})) == 0


def test_detector_with_letterbox_maps_boxes_back() -> None:
    image = picture((64, 128), red=(32, 16, 96, 48))
    prediction = predict(tiny_models.detector(), image, parameters={"resize_type": "fit_to_window_letterbox"})
    assert close(prediction.boxes, [[32, 16, 96, 48]], tolerance=2)


@pytest.mark.parametrize("picture_first", [True, False])
def test_detector_with_image_info_gets_both_inputs(picture_first: bool) -> None:
    model = tiny_models.with_image_info(picture_first=picture_first)
    assert predict(model, picture((128, 128), red=(16, 8, 48, 40))).boxes.tolist() == [[16, 8, 48, 40]]


def test_detector_of_free_size_works_once_its_size_is_given() -> None:
    size = {"orig_height": 32, "orig_width": "64"}
    prediction = predict(tiny_models.free_size_detector(), picture((64, 128), red=(16, 8, 48, 40)), parameters=size)
    assert prediction.boxes.tolist() == [[0, 0, 128, 64]]


def test_detector_without_labels_numbers_the_classes() -> None:
    prediction = predict(
        tiny_models.without_info(tiny_models.detector()),
        picture(**TWO),
        model_type="ssd",
        parameters={"scale_values": [255]},
    )
    assert prediction.label_names == ("#0", "#2")


def test_overlapping_boxes_are_suppressed_where_asked_for() -> None:
    same = picture(red=(8, 4, 24, 20), green=(8, 4, 24, 20))
    assert len(predict(tiny_models.detector(), same)) == 2
    assert len(predict(tiny_models.detector(), same, parameters={"nms_execute": True, "agnostic_nms": True})) == 1


def test_explanations_come_along() -> None:
    for make in (tiny_models.classifier, tiny_models.detector):
        prediction = predict(make(xai=True), picture(**TWO))
        assert prediction.feature_vector is not None
        assert prediction.saliency_maps is not None
        assert (prediction.feature_vector.shape, prediction.saliency_maps.shape) == ((48,), (3, 7, 7))
        assert prediction.saliency_maps[0].argmax() in (8, 9, 15, 16)  # the red rectangle is at the upper left
    without = predict(tiny_models.detector(), picture(**TWO))
    assert without.feature_vector is None
    assert without.saliency_maps is None


# masks


def test_instance_segmentation_finds_masks_and_outlines() -> None:
    prediction = predict(tiny_models.instance_segmenter(), picture(**TWO))
    assert prediction.label_names == ("red", "blue")
    assert prediction.masks is not None
    assert prediction.polygons is not None
    for mask, polygon, (x1, y1, x2, y2) in zip(prediction.masks, prediction.polygons, TWO.values(), strict=True):
        assert polygon is not None
        assert abs(int(mask.sum()) - (x2 - x1) * (y2 - y1)) < 0.2 * (x2 - x1) * (y2 - y1)
        assert close([polygon.min(0), polygon.max(0)], [[x1, y1], [x2, y2]], tolerance=2)
    assert len(predict(tiny_models.instance_segmenter(), plain())) == 0


@pytest.mark.parametrize(
    ("model_type", "make"), [("YOLO-seg", tiny_models.yolo_segmenter), ("YOLO11", tiny_models.yolo)]
)
def test_yolo_models_count_their_classes_from_zero(model_type: str, make) -> None:
    image = picture((64, 128), red=(16, 8, 48, 40), blue=(60, 30, 120, 50))
    prediction = predict(make(), image, model_type=model_type)
    assert set(prediction.label_names) == {"red", "blue"}
    red = prediction.label_names.index("red")
    assert close(prediction.boxes[red], [16, 8, 48, 40], tolerance=2)
    assert (prediction.masks is not None) == (model_type == "YOLO-seg")
    if prediction.masks is not None:
        assert prediction.masks[red, 12:36, 20:44].all()
        assert prediction.masks[red].sum() < 1300


def test_a_yolo_that_was_loaded_before_changes_nothing_for_others() -> None:
    image = picture((64, 128), red=(16, 4, 48, 20))
    options = {"config": F32, "model_type": "MaskRCNN", "parameters": {"scale_values": [255]}}
    loaded = load_model(tiny_models.without_info(tiny_models.instance_segmenter()), **options)
    predict(tiny_models.yolo(), image)
    after = run(loaded, image)
    again = run(load_model(tiny_models.without_info(tiny_models.instance_segmenter()), **options), image)
    assert after.label_names == again.label_names == ("#0",)
    assert after.boxes.tolist() == again.boxes.tolist() == [[16, 4, 48, 20]]


def test_a_wrapper_that_is_told_to_leave_out_what_is_needed_does_not() -> None:
    assert predict(tiny_models.segmenter(return_soft_prediction=False), picture(**TWO)).label_names == ("red", "blue")
    masks = predict(tiny_models.instance_segmenter(postprocess_semantic_masks=False), picture(**TWO)).masks
    assert masks is not None
    assert masks.shape == (2, 64, 64)


def test_instance_segmentation_needs_labels_neither_for_masks_nor_for_features() -> None:
    bare = tiny_models.without_info(tiny_models.instance_segmenter(xai=True))
    prediction = predict(bare, picture(**TWO), model_type="maskrcnn", parameters={"scale_values": [255]})
    assert prediction.label_names == ("#0", "#2")
    assert prediction.feature_vector is not None


def test_a_mask_model_may_have_its_own_label_for_nothing() -> None:
    model = tiny_models.instance_segmenter()
    model.set_rt_info("nothing red green blue", ["model_info", "labels"])
    assert predict(model, picture(**TWO)).label_names == ("red", "blue")


def test_rotated_detection_turns_the_box_with_the_object() -> None:
    image = plain(size=64)
    for step in range(40):
        image[10 + step : 18 + step, 8 + step, 0] = 230  # a bar at 45 degrees
    prediction = predict(tiny_models.rotated_detector(), image)
    assert prediction.task is Task.ROTATED_DETECTION
    (annotation,) = prediction.annotations
    assert isinstance(annotation.shape, RotatedRectangle)
    assert close(annotation.shape.angle, 45, tolerance=3)
    assert max(annotation.shape.width, annotation.shape.height) > 45
    upright = predict(tiny_models.rotated_detector(), picture(red=(8, 4, 40, 20))).rotated_boxes
    assert close(upright, [[23.5, 11.5, 31, 15, 0]], tolerance=1.5)


def test_the_projects_task_type_wins_over_the_metadata() -> None:
    assert (
        predict(tiny_models.instance_segmenter(), picture(**TWO), task_type="rotated_detection").rotated_boxes
        is not None
    )


def test_segmentation_finds_regions_and_a_label_map() -> None:
    image = picture(**TWO)
    image[40:44, 40:44] = 0  # a hole
    prediction = predict(tiny_models.segmenter(), image)
    assert prediction.label_names == ("red", "blue")
    assert prediction.boxes.tolist() == [[8, 4, 24, 20], [30, 30, 60, 50]]
    assert close(prediction.scores, [230 / 255] * 2)
    expected = np.zeros((64, 64), np.uint8)
    expected[4:20, 8:24], expected[30:50, 30:60], expected[40:44, 40:44] = 1, 3, 0
    assert prediction.label_map is not None
    assert (prediction.label_map == expected).all()
    assert len(predict(tiny_models.segmenter(), plain())) == 0


def test_segmentation_scores_are_probabilities_also_where_the_model_gives_logits() -> None:
    image = picture(red=(8, 4, 24, 20))
    prediction = predict(
        tiny_models.segmenter(scale_values="51 51 51"), image
    )  # channels up to 4.5, background 1 − that
    logits = np.array([1 - 230 / 51, 230 / 51, 0, 0])
    assert close(prediction.scores, [np.exp(logits[1]) / np.exp(logits).sum()])


def test_segmentation_explains_at_the_models_resolution() -> None:
    prediction = predict(tiny_models.segmenter(xai=True), picture((128, 128), red=(16, 8, 48, 40)))
    assert prediction.feature_vector is not None
    assert prediction.saliency_maps is not None
    assert prediction.saliency_maps.shape == (3, 64, 64)
    assert prediction.saliency_maps[0, 10, 12] == 230


# anomalies


@pytest.mark.parametrize("make", [tiny_models.anomaly, tiny_models.anomalib2])
def test_anomaly_models_decide_about_the_picture_with_the_score_of_the_decision(make) -> None:
    normal, anomalous = (
        predict(make(), plain(60, 60, 60)),
        predict(make(), picture((128, 128), fill=60, **dict.fromkeys(TWO, (8, 8, 20, 20)))),
    )
    assert (normal.label_names, anomalous.label_names) == (("Normal",), ("Anomaly",))
    assert close(normal.scores, [1 - 60 / 255])
    assert close(anomalous.scores, [(60 + 2 * 230) / 3 / 255], tolerance=0.2)
    assert anomalous.heat_map is not None
    assert anomalous.heat_map.shape == (128, 128)
    assert anomalous.heat_map[14, 14] > normal.heat_map[14, 14]  # type: ignore[index]
    assert anomalous.boxes.tolist() == [[0, 0, 128, 128]]


@pytest.mark.parametrize("make", [tiny_models.anomaly, tiny_models.anomalib2])
@pytest.mark.parametrize("task_type", ["anomaly_segmentation", "anomaly_detection"])
def test_anomaly_models_find_regions_where_the_project_wants_them(make, task_type: str) -> None:
    image = picture(red=(8, 8, 20, 20), green=(8, 8, 20, 20), blue=(8, 8, 20, 20))
    prediction = predict(make(), image, task_type=task_type)
    assert prediction.label_names == ("Anomaly",)
    assert close(prediction.boxes, [[8, 8, 20, 20]])
    assert close(prediction.scores, [230 / 255], tolerance=0.01)
    assert (prediction.polygons is not None) == (task_type == "anomaly_segmentation")
    nothing = predict(make(), plain(60, 60, 60), task_type=task_type)
    assert nothing.label_names == ("Normal",)
    assert nothing.boxes.tolist() == [[0, 0, 64, 64]]


def test_model_apis_own_parameter_asks_for_regions_too() -> None:
    model = tiny_models.anomaly(task="")
    white = picture(red=(8, 8, 20, 20), green=(8, 8, 20, 20), blue=(8, 8, 20, 20))
    assert close(predict(model, white, parameters={"task": "detection"}).boxes, [[8, 8, 20, 20]])


def test_anomaly_scores_stay_in_0_to_1_whatever_the_map_holds() -> None:
    for make in (tiny_models.anomaly, tiny_models.anomalib2):
        prediction = predict(make(scale_values="25.5 25.5 25.5"), plain(255, 255, 255))  # the map is 10 everywhere
        assert prediction.scores.tolist() == [1]
        assert prediction.heat_map is not None
        assert prediction.heat_map.min() == 255


@pytest.mark.parametrize("task_type", ["anomaly", "anomaly_segmentation", "anomaly_detection"])
def test_an_anomaly_model_without_a_map_still_decides(task_type: str) -> None:
    prediction = predict(tiny_models.anomaly_score(), plain(230, 230, 230), task_type=task_type)
    assert prediction.label_names == ("Anomaly",)
    assert prediction.heat_map is None


# keypoints


def test_keypoints_are_objects_with_a_position_and_a_score() -> None:
    dots = picture(red=(10, 20, 11, 21), green=(30, 40, 31, 41), value=250)
    prediction = predict(tiny_models.keypoints(), dots)
    assert prediction.label_names == ("red", "green")  # blue is nowhere
    assert prediction.keypoints is not None
    assert close(prediction.keypoints[:, :2], [[10, 20], [30, 40]])
    assert [annotation.shape for annotation in prediction.annotations] == [Keypoint(10, 20), Keypoint(30, 40)]
    assert close(prediction.scores, [1, 1])
    large = predict(tiny_models.keypoints(), picture((128, 192), red=(30, 40, 33, 42), value=250))
    assert close(large.keypoints[:, :2], [[30, 40]], tolerance=1.5)  # type: ignore[index]


# an NPU, which takes no pictures of any size


def test_for_an_npu_pictures_are_prepared_before() -> None:
    wrapped = wrapping.wrap(
        tiny_models.classifier(),
        device="NPU",
        model_type=None,
        labels=None,
        decoder=None,
        parameters={},
        task_type=None,
    )
    ((pixels,), _) = wrapped.preprocess(plain(red=204, size=100))
    assert not wrapped.preprocess_is_free
    assert (pixels.shape, pixels.dtype) == ((1, 3, 64, 64), np.float32)
    assert close(pixels[0, :, 5, 5], [0.8, 0, 0])


# a model that was saved with its preprocessing inside


def test_preprocessing_that_is_in_the_file_already_is_not_repeated() -> None:
    wrapped = wrapping.wrap(
        tiny_models.detector(), device="CPU", model_type=None, labels=None, decoder=None, parameters={}, task_type=None
    )
    wrapped.model.set_rt_info("True", ["model_info", "embedded_processing"])
    wrapped.model.set_rt_info("64", ["model_info", "orig_height"])
    wrapped.model.set_rt_info("64", ["model_info", "orig_width"])
    loaded = load_model(wrapped.model, config=F32)
    assert loaded.preprocess_is_free
    assert run(loaded, picture((128, 128), red=(16, 8, 48, 40))).boxes.tolist() == [[16, 8, 48, 40]]
