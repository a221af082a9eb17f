"""An OOD model fitted through a deployment, attached to one, and as a trigger."""

import asyncio
import gc
import io
import json
import logging
import math
import threading
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import ood_fixtures as pictures
import pytest
import tiny_blocks as blocks
import tiny_models
from ood_fixtures import WIDTH, deployment, normal, strange
from openvino import opset13 as op

import aiohooks as ah
from aiohooks import Deployment, Frame, OODModel, OODTrigger, PostInferenceHook, SpecError
from aiohooks.hooks.event_bytes import decode_event, encode_event
from aiohooks.inference.last_layer import LastLayer
from aiohooks.monitors.ood.logits import energy_of, explains, logits_of
from aiohooks.monitors.progress import shown
from aiohooks.sources import FrameSource

pytestmark = pytest.mark.anyio

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def ood() -> OODModel:
    async def fit() -> OODModel:
        async with deployment() as model:
            return await OODModel.fit(model, normal(400), calibration=normal(200, seed=1))

    return anyio.run(fit)


async def keep(_event: ah.HookEvent) -> None:
    pass


def given_to_fit(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the arrays are fitted with, once that has happened."""
    given: dict[str, Any] = {}
    fit_arrays = OODModel.fit_arrays

    def noted(*args: Any, **arguments: Any) -> OODModel:
        given.update(arguments, **dict(zip(("features", "logits", "labels"), args, strict=False)))
        return fit_arrays(*args, **arguments)

    monkeypatch.setattr(OODModel, "fit_arrays", noted)
    return given


# fit


async def test_it_is_fitted_on_what_the_deployment_makes_of_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    given = given_to_fit(monkeypatch)
    steps: list[tuple[str, int, int]] = []
    async with deployment() as model:
        seen = model.add_hook(PostInferenceHook(trigger=ah.AlwaysTrigger(), action=keep))
        ood = await OODModel.fit(
            model, normal(90), calibration=(one for one in normal(60, seed=1)), out_of_distribution=strange(30),
            progress=lambda *step: steps.append(step),
        )  # fmt: skip
        expected = await model.infer(normal(90)[7])
        layer = await model.last_layer()
    assert seen.counts.seen == 1
    assert ood.width == WIDTH
    np.testing.assert_array_equal(given["features"][7], expected.feature_vector)
    assert layer is not None
    np.testing.assert_allclose(given["logits"][7], layer.weights @ given["features"][7] + layer.bias, atol=1e-4)
    np.testing.assert_array_equal(given["labels"], np.arange(90) % 3)
    np.testing.assert_array_equal(given["last_layer"].weights, pictures.WEIGHTS)
    assert [len(part) for part in given["calibration"] + given["out_of_distribution"]] == [60, 60, 30, 30]
    assert ("in distribution", 90, 90) in steps
    assert ("out of distribution", 30, 30) in steps
    assert ("calibration", 60, 0) in steps


async def test_a_folder_is_read_with_its_subfolders_and_may_name_the_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = given_to_fit(monkeypatch)
    for i, name in enumerate("abc"):
        pictures.write(tmp_path / name, normal(90)[i::3])
    (tmp_path / "b" / "broken.png").write_bytes(b"no picture")
    async with deployment() as model:
        ood = await OODModel.fit(model, tmp_path, class_of=lambda frame: frame.name.split("/")[0], corruptions=True)
        prediction = await model.infer(normal(1)[0])
    assert given["names"][:2] == ["a/000.png", "a/001.png"]
    np.testing.assert_array_equal(given["labels"], np.repeat([0, 1, 2], 30))
    assert given["class_names"] == ["a", "b", "c"]
    assert len(given["out_of_distribution"][0]) == 90
    assert "in distribution: 1 of 91 pictures are left out, the first: " in caplog.text
    assert ood.explain(*ood.evidence(prediction)).neighbours[0].name in given["names"]


async def test_corruptions_leave_their_pictures_alone_and_come_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    given = given_to_fit(monkeypatch)
    monkeypatch.setattr("aiohooks.monitors.ood.fit.MOST_CORRUPTED", 45)
    originals = normal(90)
    async with deployment() as model:
        await OODModel.fit(model, originals, corruptions=["cut_out", "noise"])
        with pytest.raises(SpecError, match="unknown 'fog'; known are cut_out, blur, noise"):
            await OODModel.fit(model, originals, corruptions=["fog"])
        with pytest.raises(SpecError, match="can be read only once"):
            await OODModel.fit(model, iter(originals), corruptions=True)
    np.testing.assert_array_equal(originals, normal(90))
    assert len(given["out_of_distribution"][0]) == 45


async def test_without_features_there_is_an_error_before_any_inference(ood: OODModel) -> None:
    hook = PostInferenceHook(trigger=~OODTrigger(ood) & ah.AlwaysTrigger(), action=keep)
    hint = r"gives no feature vector.*Deployment\.load\(…, features=True\)"
    async with Deployment.load(pictures.model()) as model:
        with pytest.raises(SpecError, match=hint):
            await OODModel.fit(model, normal(3))
        with pytest.raises(SpecError, match=hint):
            model.attach(ood)
        with pytest.raises(SpecError, match=hint):
            model.add_hook(hook)
        with pytest.raises(SpecError, match=hint):
            await ood.screen(model, normal(3))
        assert model.monitors == model.hooks == ()
    before = Deployment.load(pictures.model())
    before.attach(ood)
    with pytest.raises(SpecError, match=hint):
        await before.open()
    before = Deployment.load(pictures.model())
    before.add_hook(hook)
    with pytest.raises(SpecError, match=hint):
        await before.open()


async def test_features_of_another_width_are_an_error_at_set_up(ood: OODModel) -> None:
    async with Deployment.load(tiny_models.detector(xai=True)) as same_width:
        same_width.attach(ood)
    image = blocks.image()
    means = blocks.channel_means(image)
    outputs = {"logits": means, "feature_vector": op.relu(means)}
    source = blocks.model(image, outputs, blocks.info("classification", "Classification", blocks.RGB))
    async with Deployment.load(source) as other:
        with pytest.raises(SpecError, match="feature vectors of 3 numbers, and the OOD model was fitted on 48"):
            other.attach(ood)


async def test_logits_without_a_last_layer_are_an_error_at_set_up() -> None:
    async with deployment() as model:
        found = [result.prediction for result in await model.infer_many(normal(200))]
        features = np.stack([one.feature_vector for one in found])
        layer = await model.last_layer()
        assert layer is not None
        logits = features @ layer.weights.T + layer.bias
        given = {"features": features[:120], "logits": logits[:120], "calibration": (features[120:], logits[120:])}
        blind, sees = OODModel.fit_arrays(**given), OODModel.fit_arrays(**given, last_layer=layer)
        problem = r"scores with logits \(3 .*: pass last_layer=await deployment\.last_layer\(\) to fit_arrays"
        with pytest.raises(SpecError, match=problem):
            model.attach(blind)
        with pytest.raises(SpecError, match=problem):
            model.add_hook(PostInferenceHook(trigger=OODTrigger(blind), action=keep))
        with pytest.raises(SpecError, match=problem):
            await blind.screen(model, normal(3))
        model.attach(sees)
        assert (await model.infer(strange(1)[0])).ood_score > 0.5


async def test_a_calibration_set_too_small_to_flag_anything_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with deployment() as model:
        small = await OODModel.fit(model, normal(90), calibration=normal(60, seed=1))
        archive = [*normal(55, seed=2), *strange(5)]
        screened = await small.screen(model, archive, false_discovery_rate=0.1, strangest=5)
        assert not screened.flagged.any()
        assert screened.least_flaggable == math.ceil(60 / (0.1 * 46))
        assert screened.is_blind
        [told] = caplog.messages
        assert (
            "only 14 or more of 60 pictures could be at a false discovery rate of 0.1: only 45 calibration pictures"
            in told
        )
        needed = int(told.split("with ")[1].split()[0])
        seen = await small.screen(model, [*archive, *strange(10, seed=1)], false_discovery_rate=0.1)
        assert seen.flagged[-10:].all()
        assert not seen.is_blind
        enough = await OODModel.fit(model, normal(90), calibration=normal(needed, seed=1))
        alone = await enough.screen(model, [*normal(59, seed=2), *strange(1)], false_discovery_rate=0.1)
        assert (alone.least_flaggable, alone.flagged.nonzero()[0].tolist()) == (1, [59])
        assert (await small.screen(model, normal(1), false_discovery_rate=0.01)).least_flaggable == 3
    assert "nothing is flagged, and none of 1 pictures could be" in caplog.text


async def test_strangest_pictures_differ_where_their_scores_do_not(
    ood: OODModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    p_values = iter([1e-40, 1e-60, 1e-80, 0.5])
    monkeypatch.setattr(ood, "p_value", lambda *_: next(p_values), raising=False)
    async with deployment() as model:
        screened = await ood.screen(model, strange(4), strangest=2)
    assert screened.scores[:3].tolist() == [1, 1, 1]
    assert [one.name for one in screened.strangest] == ["picture 2", "picture 1"]


async def test_cancelling_leaves_nothing_behind() -> None:
    async with deployment() as model:
        threads = threading.active_count()
        with anyio.CancelScope() as scope:

            def cancel(_what: str, done: int, _total: int) -> None:
                if done == 20:
                    scope.cancel()

            await OODModel.fit(model, normal(300), progress=cancel)
        assert scope.cancelled_caught
        assert not model._streams
        assert model.counts.under_way <= model.model.slots
        await model.drained()
        assert threading.active_count() <= threads + 4  # those that decode, which are kept
        assert (await model.infer(normal(1)[0])).label_names == ("red",)


async def test_no_pictures_are_an_error(tmp_path: Path) -> None:
    async with deployment() as model:
        with pytest.raises(SpecError, match="in distribution: there are no pictures"):
            await OODModel.fit(model, [])
        with pytest.raises(SpecError, match=r"no picture could be inferred: .*nothing\.png"):
            await OODModel.fit(model, [tmp_path / "nothing.png"])


# logits


def test_logits_of_a_wide_layer_are_those_of_its_product() -> None:
    layer = LastLayer(RNG.normal(size=(400, 256)).astype(np.float32), RNG.normal(size=400).astype(np.float32))
    features = RNG.normal(size=(8, 256)).astype(np.float32) / 16
    expected = features @ layer.weights.T + layer.bias
    powers = np.exp(expected - expected.max(axis=1, keepdims=True))
    softmax = powers / powers.sum(axis=1, keepdims=True)
    for row, scores, logits in zip(features, softmax, expected, strict=True):
        np.testing.assert_allclose(logits_of(layer, row, scores), logits, atol=1e-4)
        np.testing.assert_allclose(logits_of(layer, row), logits, atol=1e-4)
        sigmoid = 1 / (1 + np.exp(-logits))
        np.testing.assert_allclose(logits_of(layer, row, sigmoid), logits, atol=1e-4)
        energy = -np.log(np.exp(logits.astype(np.float64)).sum())
        for known in (scores, sigmoid, None):
            assert energy_of(layer, row, known) == pytest.approx(energy, abs=1e-4)
    assert explains(layer, features, softmax)
    assert explains(layer, features, 1 / (1 + np.exp(-expected)))
    assert not explains(layer, features[::-1].copy(), softmax)
    assert not explains(layer, features[:, :200], softmax)


async def test_a_layer_of_other_features_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    given = given_to_fit(monkeypatch)
    monkeypatch.setattr(ah.Deployment, "last_layer", last_layer_of_others)
    async with deployment() as model:
        await OODModel.fit(model, normal(90))
    assert (given["last_layer"], given["logits"]) == (None, None)


async def last_layer_of_others(_deployment: Deployment) -> LastLayer:
    return LastLayer(-pictures.WEIGHTS, np.zeros(3, np.float32))


# attached


async def test_an_attached_model_puts_its_score_on_every_prediction(ood: OODModel) -> None:
    seen: list[float | None] = []

    async def look(_frame: Frame, prediction: ah.Prediction) -> bool:
        seen.append(prediction.ood_score)
        return False

    async with deployment() as model:
        attached = model.attach(ood)
        model.add_hook(PostInferenceHook(trigger=look, action=keep))
        usual, odd = await model.infer(normal(1, seed=2)[0]), await model.infer(strange(1)[0])
        assert usual.ood_score is not None
        assert odd.ood_score is not None
        assert usual.ood_score < 0.5 < odd.ood_score
        assert usual.ood_score == pytest.approx(ood.score(*ood.evidence(usual)), rel=1e-4)
        async with model.stream([normal(1)[0], strange(1)[0]]) as results:
            scores = [result.prediction.ood_score async for result in results]
        assert scores[1] == odd.ood_score
        await model.drained()
        assert sorted(seen, key=str) == sorted([usual.ood_score, odd.ood_score, *scores], key=str)
        assert (attached.seen, attached.failed) == (4, 0)
        model.detach(ood)
        assert (await model.infer(strange(1)[0])).ood_score is None
        with pytest.raises(ah.DeploymentError, match="is not attached"):
            model.detach(ood)


async def test_a_slow_model_scores_in_a_worker_thread(ood: OODModel, monkeypatch: pytest.MonkeyPatch) -> None:
    scored_in: list[threading.Thread] = []
    p_value_of = OODModel.p_value_of

    def noted(*args: Any) -> Any:
        scored_in.append(threading.current_thread())
        return p_value_of(*args)

    monkeypatch.setattr(OODModel, "p_value_of", noted)
    trigger = OODTrigger(ood, threshold=0.5)
    async with deployment() as model:
        model.attach(ood)
        running = model.add_hook(PostInferenceHook(trigger=trigger, action=keep))
        for cost, on_loop in ((0.0005, True), (0.002, False)):
            monkeypatch.setattr(ood, "cost_seconds", cost)
            assert hasattr(trigger, "evaluate") is on_loop
            await model.infer(strange(1)[0])
            await model.drained()
            assert [thread is threading.main_thread() for thread in scored_in] == [on_loop] * 2
            scored_in.clear()
    assert (running.counts.fired, running.counts.done) == (2, 2)


async def test_a_monitor_that_fails_loses_no_inference(caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def attached(self, _description: object) -> None:
            pass

        async def observe(self, frame: Frame, _prediction: ah.Prediction) -> ah.Prediction:
            raise ValueError(f"no {frame.name}")

    async with deployment() as model:
        attached = model.attach(Failing())
        for i in range(20):
            assert (await model.infer(normal(1)[0], name=f"picture {i}")).label_names == ("red",)
        with pytest.raises(SpecError, match="attach takes a monitor"):
            model.attach(Failing)  # type: ignore[arg-type]
    assert (attached.seen, attached.failed) == (20, 20)
    assert [record.getMessage()[-9:] for record in caplog.records] == [
        "picture 0",
        "picture 9",
    ]  # the first and the tenth


async def test_monitors_see_the_prediction_of_those_before_and_nothing_of_hooks(ood: OODModel) -> None:
    seen: list[float | None] = []

    class Watching:
        def attached(self, description: Any) -> None:
            assert description.feature_width == WIDTH

        async def observe(self, _frame: Frame, prediction: ah.Prediction) -> ah.Prediction:
            seen.append(prediction.ood_score)
            return prediction

    async def infer_again(event: ah.HookEvent) -> None:
        await model.infer(event.frame)

    model = deployment()
    model.attach(ood)
    model.attach(Watching())
    async with model:
        model.add_hook(PostInferenceHook(trigger=ah.AlwaysTrigger(), action=infer_again))
        found = await model.infer(strange(1)[0])
        await model.drained()
    assert seen == [found.ood_score]


# trigger


async def test_the_trigger_fires_by_threshold_or_by_rate(ood: OODModel) -> None:
    async with deployment() as model:
        usual = [result.prediction for result in await model.infer_many(normal(200, seed=3))]
        odd = await model.infer(strange(1)[0])
    frame = Frame(strange(1)[0])
    verdict = await OODTrigger(ood)(frame, odd)
    assert verdict.fired
    assert verdict.score == pytest.approx(ood.score(*ood.evidence(odd)), rel=1e-4)
    fired = {
        rate: np.mean([bool(await OODTrigger(ood, false_alarm_rate=rate)(frame, one)) for one in usual])
        for rate in (0.01, 0.05, 0.3)
    }
    assert fired[0.01] <= fired[0.05] <= fired[0.3]
    assert 0.15 < fired[0.3] < 0.45
    rate = float(ood.p_value_of(usual[0]))
    for asked, expected in ((rate, True), (math.nextafter(rate, 0.0), False)):
        assert (await OODTrigger(ood, false_alarm_rate=asked)(frame, usual[0])).fired is expected
    default = [bool(await OODTrigger(ood)(frame, one)) for one in usual]
    assert default == [bool(await OODTrigger(ood, threshold=0.5)(frame, one)) for one in usual]
    assert np.mean(default) == pytest.approx(fired[0.05], abs=0.02)


def test_what_the_trigger_cannot_be_made_of(ood: OODModel, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="two ways to say the same"):
        OODTrigger(ood, false_alarm_rate=0.01, threshold=0.5)
    with pytest.raises(SpecError, match=r"0\.0001"):
        OODTrigger(ood, false_alarm_rate=0.0001)
    with pytest.raises(
        SpecError, match=r"threshold: 0\.99 is a false-alarm rate of 0\.00051: .* needs 2,479 calibration pictures"
    ):
        OODTrigger(ood, threshold=0.99)
    with pytest.raises(SpecError, match="it would never fire"):
        OODTrigger(ood, threshold=1)
    for threshold in (0, 0.04, 0.8):
        OODTrigger(ood, threshold=threshold)
    with pytest.raises(SpecError, match="expected an OODModel or the file of one, got float"):
        OODTrigger(0.5)
    with pytest.raises(ah.LoadError, match=r"gone\.ood: there is no such file"):
        OODTrigger(tmp_path / "gone.ood")


async def test_a_frame_without_features_is_a_trigger_failure(ood: OODModel) -> None:
    def decode(_outputs: Any, frame: Frame) -> ah.Prediction:
        return ah.Prediction.classification((frame.height, frame.width), ["a"], [1], [0])

    async with Deployment.load(tiny_models.unknown(), decoder=decode) as model:
        running = model.add_hook(PostInferenceHook(trigger=OODTrigger(ood), action=keep))
        await model.infer(normal(1)[0])
        await model.drained()
        assert running.counts.trigger_failed == 1


# saved


def test_a_model_in_memory_is_not_saved_with_a_hook(ood: OODModel) -> None:
    hook = PostInferenceHook(trigger=OODTrigger(ood), action=ah.LogAction())
    with pytest.raises(SpecError, match=r"\$\.hooks\[0\]\.trigger.*save it to a file, and give the hook its path"):
        ah.hooks_to_json([hook])


async def test_the_file_travels_with_the_deployment(
    ood: OODModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here / "1", here / "2"):
        folder.mkdir(parents=True)
        ood.save(folder / "animals.ood")
    one, two = (OODTrigger(str(here / name / "animals.ood"), false_alarm_rate=0.05) for name in "12")
    trigger = ah.AlwaysTrigger() & ~one & ~two
    async with deployment() as model:
        model.add_hook(PostInferenceHook(trigger=trigger, action=ah.LogAction()))
        folder = await model.save(here / "saved")
        expected = await model.infer(strange(1)[0])
    assert sorted(path.name for path in folder.glob("*.ood")) == ["animals.ood", "animals_2.ood"]
    assert str(here) not in (folder / "aiohooks.json").read_text()
    folder.rename(there)
    for file in here.rglob("*.ood"):
        file.unlink()
    monkeypatch.chdir(tmp_path)
    async with Deployment.load("there") as model:
        [hook] = model.hooks
        found = await model.infer(strange(1)[0])
        await model.save("there", overwrite=True)  # the files are those that are there
        again = await model.save("elsewhere")
    loaded = hook.hook.trigger.parts[1].part
    assert loaded.model.score(*loaded.model.evidence(found)) == ood.score(*ood.evidence(expected))
    assert (hook.counts.seen, hook.counts.trigger_failed) == (1, 0)
    assert (tmp_path / again / "animals_2.ood").read_bytes() == (there / "animals_2.ood").read_bytes()
    gc.collect()


async def test_what_travels_is_the_model_that_the_trigger_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ood: OODModel
) -> None:
    monkeypatch.chdir(tmp_path)
    ood.save("m.ood")
    trigger = OODTrigger("m.ood")
    own = (tmp_path / "m.ood").read_bytes()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    written(tmp_path / "y" / "m.ood", b"another model").replace(tmp_path / "m.ood")
    async with deployment() as model:
        for _ in range(2):
            model.add_hook(PostInferenceHook(trigger=trigger, action=ah.LogAction()))
        model.add_hook(
            PostInferenceHook(
                trigger=OODTrigger(OODModel.load(written(tmp_path / "x/m.ood", own))), action=ah.LogAction()
            )
        )
        folder = await model.save("one")
        assert sorted(path.name for path in folder.glob("*.ood")) == ["m.ood", "m_2.ood"]
        assert {path.read_bytes() for path in folder.glob("*.ood")} == {own}
        (tmp_path / "x/m.ood").unlink()
        (tmp_path / "m.ood").unlink()
        assert ((await model.save("two")) / "m.ood").read_bytes() == own


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir()
    path.write_bytes(data)
    return path


async def test_a_save_that_fails_leaves_no_folder(
    ood: OODModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ood.save(tmp_path / "m.ood")
    async with deployment() as model:
        model.add_hook(PostInferenceHook(trigger=OODTrigger(tmp_path / "m.ood"), action=ah.LogAction()))

        def full(*_args: Any, **_arguments: Any) -> None:
            raise OSError("no space left on device")

        monkeypatch.setattr("aiohooks.monitors.ood.model.write_parts", full)
        with pytest.raises(ah.DeploymentError, match="no space left"):
            await model.save(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()


def test_saved_hooks_name_the_model_by_its_way_from_them(
    ood: OODModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = OODTrigger(OODModel.fit_arrays(RNG.normal(size=(200, 8))))
    hook = PostInferenceHook(trigger=given, action=ah.LogAction())
    (tmp_path / "app/hooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "app")
    with pytest.raises(SpecError, match="save it to a file"):
        ah.save_hooks("hooks/h.json", [hook])
    given.model.save("m.ood")  # after the trigger was made
    ah.save_hooks("hooks/h.json", [hook])
    [saved] = json.loads(Path("hooks/h.json").read_bytes())["hooks"]
    assert saved["trigger"]["ood_model"] == "../m.ood"
    assert ah.hooks_to_json([hook])["hooks"][0]["trigger"]["ood_model"] == str(tmp_path / "app/m.ood")
    (tmp_path / "app").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    [loaded] = ah.load_hooks("moved/hooks/h.json")
    assert Path(loaded.trigger.ood_model).samefile(tmp_path / "moved/m.ood")
    assert Path(loaded.trigger.ood_model).is_absolute()


@pytest.mark.parametrize("what", ["another model", "removed", "no model"])
def test_hooks_are_not_saved_beside_another_model_than_they_use(ood: OODModel, tmp_path: Path, what: str) -> None:
    path = tmp_path / "m.ood"
    ood.save(path)
    hook = PostInferenceHook(trigger=~OODTrigger(path) | ah.AlwaysTrigger(), action=ah.LogAction())
    ah.save_hooks(tmp_path / "hooks.json", [hook])
    path.unlink()
    if what == "another model":
        OODModel.fit_arrays(RNG.normal(size=(200, 8))).save(path)
    elif what == "no model":
        path.write_bytes(b"no model")
    before = (tmp_path / "hooks.json").read_bytes()
    with pytest.raises(SpecError, match=r"\$\.hooks\[0\]\.trigger: .*m\.ood no longer holds what this hook has read"):
        ah.save_hooks(tmp_path / "hooks.json", [hook])
    assert (tmp_path / "hooks.json").read_bytes() == before


def test_a_file_that_is_missing_is_named_with_its_spot(ood: OODModel, tmp_path: Path) -> None:
    ood.save(tmp_path / "m.ood")
    ah.save_hooks(
        tmp_path / "hooks.json", [PostInferenceHook(trigger=OODTrigger(tmp_path / "m.ood"), action=ah.LogAction())]
    )
    (tmp_path / "m.ood").unlink()
    with pytest.raises(SpecError, match=r"\$\.hooks\[0\]\.trigger: OODTrigger: .*m\.ood: there is no such file"):
        ah.load_hooks(tmp_path / "hooks.json")


async def test_a_kept_event_has_its_score(ood: OODModel) -> None:
    async with deployment() as model:
        model.attach(ood)
        found = await model.infer(strange(1)[0])
    event = ah.HookEvent(frame=Frame(strange(1)[0]), prediction=found, score=1.0, hook="h")
    assert decode_event(encode_event(event)).prediction.ood_score == found.ood_score


# the fit


async def test_frames_of_a_video_stay_in_stretches_and_pictures_with_their_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = given_to_fit(monkeypatch)
    frames = [Frame(picture, name=f"{index}") for index, picture in enumerate(normal(100))]
    async with deployment() as model:
        await OODModel.fit(model, FrameSource("video", lambda _: images_of(frames), successive=True))
        np.testing.assert_array_equal(given["groups"], np.arange(100) // 5)
        await OODModel.fit(model, frames)
        assert given["groups"] is None
        await OODModel.fit(model, frames, group_of=lambda frame: int(frame.name or 0) % 50)
        np.testing.assert_array_equal(given["groups"], np.arange(100) % 50)


async def images_of(frames: list[Frame]) -> Any:
    for frame in frames:
        yield frame


@pytest.mark.parametrize("how", ["scope", "task"])
async def test_a_fit_that_is_cancelled_ends(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    loop, begun, steps = asyncio.get_running_loop(), asyncio.Event(), []
    left = threading.Event()

    def endless(*_arrays: Any, progress: Any, **_others: Any) -> None:
        try:
            while True:
                progress("bank", len(steps), 0)
                loop.call_soon_threadsafe(begun.set)
        finally:
            left.set()

    monkeypatch.setattr(OODModel, "fit_arrays", endless)
    async with deployment() as model:
        with anyio.fail_after(20):
            if how == "task":
                task = asyncio.ensure_future(OODModel.fit(model, normal(5), progress=lambda *step: steps.append(step)))
                await begun.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                async with anyio.create_task_group() as group:
                    group.start_soon(lambda: OODModel.fit(model, normal(5), progress=lambda *step: steps.append(step)))
                    await begun.wait()
                    group.cancel_scope.cancel()
        assert left.is_set()
    assert ("bank", 5, 0) in steps


# objects


async def test_objects_are_cut_out_and_judged_one_by_one(tmp_path: Path) -> None:
    scenes = pictures.write(
        tmp_path, [tiny_models.picture(red=(8, 4, 24, 20), blue=(30, 10, 62, 50)), tiny_models.plain(), normal(1)[0]]
    )
    (tmp_path / "zzz.png").write_bytes(b"no picture")
    async with Deployment.load(tiny_models.detector(), config={"INFERENCE_PRECISION_HINT": "f32"}) as detector:
        hook = detector.add_hook(PostInferenceHook(trigger=ah.AlwaysTrigger(), action=keep))
        found = [frame async for frame in ah.object_crops(detector, scenes)]
        assert [frame.name for frame in found] == ["000.png #1", "000.png #2", "002.png #1"]
        assert [frame.image.shape for frame in found[:2]] == [(16, 16, 3), (40, 32, 3)]
        assert [frame.index for frame in found] == [0, 1, 2]
        assert all(frame.owned and frame.image.flags.c_contiguous for frame in found)
        async with deployment() as looks:
            with pytest.raises(SpecError, match="labels whole pictures"):
                aiter(ah.object_crops(looks, scenes))
            results = await looks.infer_many(ah.object_crops(detector, scenes))
            assert [result.prediction.label_names[0] for result in results] == ["red", "blue", "red"]
        assert hook.counts.seen == 0


# progress


def test_a_bar_moves_in_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, is_drawn in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", stream)
        with shown(True) as show:
            for done in range(3):
                show("in distribution", done + 1, 3)
            show("calib\nration", 1, 0)
        assert ("in distribution" in stream.getvalue()) is is_drawn
        assert ("calib\\nration" in stream.getvalue()) is is_drawn
