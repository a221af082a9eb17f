"""What people get wrong first: each mistake is told by name, with where it is and the way out."""

import json
import re
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import cli_fixtures
import drift_fixtures
import numpy as np
import ood_fixtures
import openvino as ov
import pytest
import tiny_blocks as blocks
import tiny_formats
import tiny_models
from openvino import opset13 as op
from PIL import Image

import aiohooks as ah
import aiohooks.server
from aiohooks.cli import main


@dataclass(frozen=True)
class Mistake:
    """What somebody does, which error it is, and what its message says."""

    do: Callable[[Path, pytest.MonkeyPatch], Awaitable[object]]
    error: type[Exception]
    says: tuple[str, ...]


MISTAKES: list[Mistake] = []


def mistake(
    error: type[Exception], *says: str
) -> Callable[
    [Callable[[Path, pytest.MonkeyPatch], Awaitable[object]]], Callable[[Path, pytest.MonkeyPatch], Awaitable[object]]
]:
    def add(
        do: Callable[[Path, pytest.MonkeyPatch], Awaitable[object]],
    ) -> Callable[[Path, pytest.MonkeyPatch], Awaitable[object]]:
        MISTAKES.append(Mistake(do, error, says))
        return do

    return add


# models


@mistake(ah.LoadError, "no_such.xml", "there is no such file or folder", "working directory")
async def a_wrong_path(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(folder)
    ah.Deployment.load("no_such.xml")


@mistake(ah.LoadError, "project.json", "model file")
async def a_folder_that_is_no_deployment(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.Deployment.load(folder)


@mistake(ah.LoadError, "model.pt", ".onnx", "export")
async def a_file_of_pytorch(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "model.pt").write_bytes(b"PK")
    await ah.Deployment.load(folder / "model.pt").open()


@mistake(ah.LoadError, "model.xml", "weights are not beside it", "copy model.bin")
async def an_xml_without_its_bin(folder: Path, patch: pytest.MonkeyPatch) -> None:
    tiny_models.save(tiny_models.classifier(), folder / "model.xml").with_suffix(".bin").unlink()
    await ah.Deployment.load(folder / "model.xml").open()


@mistake(ah.LoadError, "a path", "openvino.Model", "None")
async def a_variable_that_is_not_set(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.Deployment.load(None)  # type: ignore[arg-type]


@mistake(ah.SpecError, "hooks", "True or False", "add_hook takes yours")
async def hooks_to_load(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.Deployment.load(tiny_models.classifier(), hooks=[ah.LogAction()])  # type: ignore[arg-type]


@mistake(ah.LoadError, "GPU7", "CPU")
async def a_device_that_is_not_there(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(tiny_models.classifier(), device="GPU7").open()


@mistake(ah.LoadError, "'cpu'", "writes 'CPU'")
async def a_device_in_small_letters(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(tiny_models.classifier(), device="cpu").open()


@mistake(ah.LoadError, "confidence_threshold", "'half'", "expected a number")
async def a_parameter_in_words(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(tiny_models.detector(), parameters={"confidence_threshold": "half"}).open()


@mistake(ah.LoadError, "model_type=", "decoder=", "outputs are")
async def a_model_of_unknown_kind(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(tiny_models.unknown()).open()


@mistake(ah.LoadError, "resnet", "Classification", "SSD")
async def a_model_type_that_is_none(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(tiny_models.classifier(), model_type="resnet").open()


@mistake(ah.LoadError, "2", "3", "labels")
async def fewer_labels_than_outputs(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(tiny_models.classifier(), labels=["cat", "dog"]).open()


@mistake(ah.LoadError, "labels.txt", "cannot read")
async def a_label_file_that_is_not_there(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(tiny_models.classifier(), labels=folder / "labels.txt").open()


@mistake(ah.LoadError, "model_type=", "decoder=", "logits [1, 3]")
async def an_own_onnx_model_without_a_word(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(tiny_formats.onnx_classifier(folder / "bare.onnx", {})).open()


@mistake(ah.LoadError, "confidence_treshold", "confidence_threshold")
async def a_parameter_with_a_typo(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(tiny_models.detector(), parameters={"confidence_treshold": 0.3}).open()


@mistake(ah.LoadError, "mean_values", "'a b c'", "expected numbers")
async def normalisation_in_words(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(tiny_models.classifier(), parameters={"mean_values": "a b c"}).open()


def means_of(shape: list[int], *others: ov.Node) -> ov.Model:
    """A model of this input, and others, to the means of its channels."""
    picture = blocks.named(op.parameter(shape, np.float32), "picture")
    product = picture
    for other in others:
        product = op.multiply(product, op.reshape(other, blocks.i64([1]), False))
    return blocks.model([picture, *others], {"logits": blocks.channel_means(product)}, {})


@mistake(ah.LoadError, "picture [4,3,64,64]", "4 pictures at once", "a batch of 1")
async def an_export_with_a_batch(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(means_of([4, 3, 64, 64]), model_type="Classification").open()


@mistake(ah.LoadError, "picture [1,4,64,64]", "4 channels", "1 or 3")
async def a_model_of_four_channels(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(means_of([1, 4, 64, 64]), model_type="Classification").open()


@mistake(ah.LoadError, "more than a picture", "scale [1]", "constants")
async def a_model_with_a_setting_for_an_input(folder: Path, patch: pytest.MonkeyPatch) -> None:
    scale = blocks.named(op.parameter([1], np.float32), "scale")
    await ah.Deployment.load(means_of([1, 3, 64, 64], scale), model_type="Classification").open()


@mistake(ah.LoadError, "model.onnx", "git lfs pull")
async def a_pointer_of_git_lfs(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "model.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n")
    await ah.Deployment.load(folder / "model.onnx").open()


@mistake(ah.LoadError, "model.onnx", "empty")
async def a_download_that_brought_nothing(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "model.onnx").touch()
    await ah.Deployment.load(folder / "model.onnx").open()


@mistake(ah.LoadError, "frame_size", "height and width", "640")
async def one_number_for_a_size(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(tiny_models.classifier(), frame_size=640).open()  # type: ignore[arg-type]


# the life of a deployment


@mistake(ah.DeploymentError, "is new", "async with")
async def a_deployment_that_was_not_entered(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Deployment.load(tiny_models.classifier()).infer(tiny_models.plain())


@mistake(ah.DeploymentError, "is new", "async with")
async def a_stream_of_a_deployment_that_was_not_entered(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.Deployment.load(tiny_models.classifier()).stream([])


@mistake(ah.DeploymentError, "is closed", "load it again")
async def a_deployment_that_has_been_closed(folder: Path, patch: pytest.MonkeyPatch) -> None:
    async with ah.Deployment.load(tiny_models.classifier()) as deployment:
        pass
    await deployment.infer(tiny_models.plain())


@mistake(ah.DeploymentError, "XAI")
async def explanations_of_a_model_without(folder: Path, patch: pytest.MonkeyPatch) -> None:
    async with ah.Deployment.load(tiny_models.classifier()) as deployment:
        await deployment.explain(tiny_models.plain())


# pictures


async def infer(picture: object) -> None:
    async with ah.Deployment.load(tiny_models.classifier()) as deployment:
        await deployment.infer(picture)  # type: ignore[arg-type]


@mistake(ah.FrameError, "float32", "multiply by 255", "astype(np.uint8)")
async def a_picture_in_floats(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await infer(np.zeros((64, 64, 3), np.float32))


@mistake(ah.FrameError, "grey", "COLOR_GRAY2RGB")
async def a_grey_picture(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await infer(np.zeros((64, 64), np.uint8))


@mistake(ah.FrameError, "C×H×W", "transpose(1, 2, 0)")
async def a_picture_with_channels_first(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await infer(np.zeros((3, 64, 64), np.uint8))


@mistake(ah.FrameError, "one picture at a time", "infer_many")
async def a_batch(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await infer(np.zeros((2, 64, 64, 3), np.uint8))


@mistake(ah.FrameError, "Image", "np.asarray")
async def a_picture_of_pillow(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await infer(Image.new("RGB", (64, 64)))


@mistake(ah.FrameError, "None", "cv2.imread")
async def what_opencv_gives_for_a_missing_file(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await infer(None)


@mistake(ah.FrameError, "no_such.jpg", "No such file")
async def a_picture_that_is_not_there(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await infer(folder / "no_such.jpg")


@mistake(ah.FrameError, "not a picture")
async def bytes_that_are_no_picture(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await infer(b"<html>")


@mistake(ah.FrameError, "folder", "infer_many", "stream")
async def a_folder_as_one_picture(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await infer(folder)


@mistake(ah.FrameError, "it is an address", "pass its bytes", "ah.camera(url)")
async def a_picture_on_the_network(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await infer("https://example.org/dog.jpg")


@mistake(ah.FrameError, "a video", "stream", "ah.video")
async def a_video_as_one_picture(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await infer(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2mp41")


@mistake(ah.FrameError, "HEIC", "convert it to JPEG")
async def a_picture_of_a_phone(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await infer(b"\0\0\0\x20ftypheic\0\0\0\0mif1heic")


@mistake(ah.FrameError, "path of a file", "ah.camera(0)")
async def a_camera_for_a_video(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.video(0)  # type: ignore[arg-type]


@mistake(ah.FrameError, "path of a folder", "ah.images")
async def pictures_for_a_folder(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.folder(["a.jpg", "b.jpg"])  # type: ignore[arg-type]


@mistake(ah.FrameError, "no_such.mp4", "No such file")
async def a_video_that_is_not_there(folder: Path, patch: pytest.MonkeyPatch) -> None:
    async with ah.Deployment.load(tiny_models.classifier()) as deployment:
        (await deployment.infer_many(ah.video(folder / "no_such.mp4")))[0].prediction  # noqa: B018


# hooks


def act(event: ah.HookEvent) -> None:
    """An action without async."""


@mistake(ah.SpecError, "trigger", "LabelTrigger(…)")
async def a_class_for_a_trigger(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.PostInferenceHook(trigger=ah.LabelTrigger, action=ah.LogAction())


async def outcome_of(**hook: object) -> None:
    async with ah.Deployment.load(tiny_models.classifier()) as deployment:
        outcomes = deployment.outcomes()
        deployment.add_hook(ah.PostInferenceHook(**({"trigger": ah.AlwaysTrigger(), "action": ah.LogAction()} | hook)))  # type: ignore[arg-type]
        await deployment.infer(tiny_models.plain())
    async for outcome in outcomes:
        assert outcome.error is not None
        raise outcome.error


@mistake(ah.ActionError, "act is not asynchronous", "`async def act(event)`")
async def an_action_without_async(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await outcome_of(action=act)


@mistake(ah.TriggerError, "bright is not asynchronous", "`async def bright(frame, prediction)`")
async def a_trigger_without_async(folder: Path, patch: pytest.MonkeyPatch) -> None:
    def bright(_frame: ah.Frame, _prediction: ah.Prediction) -> bool:
        return True

    await outcome_of(trigger=bright)


@mistake(ah.SpecError, "threshold", "<= 1")
async def a_confidence_in_per_cent(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.ConfidenceTrigger(70)


@mistake(ah.SpecError, "PostInferenceHook(trigger=…, action=…)")
async def an_action_for_a_hook(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.Deployment.load(tiny_models.classifier()).add_hook(ah.LogAction())  # type: ignore[arg-type]


def test_a_hook_on_a_label_that_the_model_does_not_have_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async def attach() -> None:
        deployment = ah.Deployment.load(tiny_models.classifier())
        trigger = ah.LabelTrigger(["gren"]) & ah.LabelTrigger(["red"])
        deployment.add_hook(ah.PostInferenceHook(name="greens", trigger=trigger, action=ah.LogAction()))
        async with deployment:
            pass

    anyio.run(attach)
    (record,) = [record for record in caplog.records if "greens" in record.message]
    assert "labels that tiny does not know: ['gren']; it knows red, green, blue" in record.message


def saved(folder: Path, **hook: object) -> None:
    action = {"type": "LogAction"}
    ah.load_hooks(
        cli_fixtures.write_hooks(folder / "hooks.json", {"trigger": cli_fixtures.ALWAYS, "action": action} | hook)
    )


@mistake(ah.SpecError, "hooks.json", "LabelTriger", "LabelTrigger", "entry point")
async def an_unknown_trigger_in_a_file(folder: Path, patch: pytest.MonkeyPatch) -> None:
    saved(folder, trigger={"type": "LabelTriger", "label_names": ["dog"]})


@mistake(ah.SpecError, "hooks.json", "max_concurency")
async def a_setting_with_a_typo_in_a_file(folder: Path, patch: pytest.MonkeyPatch) -> None:
    saved(folder, max_concurency=3)


@mistake(ah.SpecError, "hooks.json", "line 1", "it is no JSON")
async def a_hook_file_in_python(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "hooks.json").write_text("{'version': 1}")
    ah.load_hooks(folder / "hooks.json")


@mistake(ah.SpecError, "hooks.json", "not a list", '{"version": 1, "hooks": […]}')
async def a_hook_file_with_a_list(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "hooks.json").write_text("[]")
    ah.load_hooks(folder / "hooks.json")


@mistake(ah.SpecError, "PostInferenceHook.rate", "a Rate is wanted")
async def a_number_for_a_rate(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.PostInferenceHook(trigger=ah.AlwaysTrigger(), action=ah.LogAction(), rate=1)  # type: ignore[arg-type]


@mistake(ah.SpecError, "several hooks", "[hook]")
async def one_hook_to_save(folder: Path, patch: pytest.MonkeyPatch) -> None:
    hook = ah.PostInferenceHook(trigger=ah.AlwaysTrigger(), action=ah.LogAction())
    ah.save_hooks(folder / "hooks.json", hook)  # type: ignore[arg-type]


@mistake(ah.SpecError, "Authorization", "environment variable", "${MY_AUTHORIZATION}")
async def a_secret_in_a_hook(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.HttpRequestAction("https://example.org", headers={"Authorization": "Bearer abc"})


@mistake(ah.SpecError, "MODEL_SERVER_TOKEN", "not set")
async def a_token_variable_that_is_not_set(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("MODEL_SERVER_TOKEN", raising=False)
    aiohooks.server.create_app(ah.Deployment.load(tiny_models.classifier()), token_env="MODEL_SERVER_TOKEN")


# delivery


@mistake(ah.DeliveryError, "in use by process", "folder of its own")
async def two_owners_of_a_spool(folder: Path, patch: pytest.MonkeyPatch) -> None:
    async with ah.Spool(str(folder / "spool")).open(), ah.Spool(str(folder / "spool")).open():
        pass


@mistake(ah.DeliveryError, "notes.txt", "folder")
async def a_spool_in_a_folder_with_other_things(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "spool").mkdir()
    (folder / "spool/notes.txt").touch()
    async with ah.Spool(str(folder / "spool")).open():
        pass


@mistake(ah.DeliveryError, "pip install", "aiohooks[nats]")
async def nats_without_its_client(folder: Path, patch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("nats.", "aiohooks.delivery.nats_"))]:
        patch.delitem(sys.modules, name)
    patch.setitem(sys.modules, "nats", None)
    async with ah.NatsSpool(("nats://127.0.0.1:1",), stream="frames").open():
        pass


# monitors


@mistake(ah.SpecError, "no feature vector", "features=True")
async def no_features_for_an_ood_model(folder: Path, patch: pytest.MonkeyPatch) -> None:
    async with ah.Deployment.load(ood_fixtures.model()) as deployment:
        await ah.OODModel.fit(deployment, ood_fixtures.normal(3))


@mistake(ah.SpecError, "at least", "pictures are needed", "got 3")
async def too_few_pictures(folder: Path, patch: pytest.MonkeyPatch) -> None:
    async with ood_fixtures.deployment() as deployment:
        await ah.OODModel.fit(deployment, ood_fixtures.normal(3))


@mistake(ah.SpecError, "false_alarm_rate", "0.0001", "calibration pictures")
async def a_rate_too_small_for_the_calibration(folder: Path, patch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).normal(size=(100, 4))
    ah.OODTrigger(ah.OODModel.fit_arrays(features), false_alarm_rate=0.0001)


@mistake(ah.LoadError, "model.ood", "damaged|cut off|not")
async def a_damaged_ood_model(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "model.ood").write_bytes(b"\0" * 100)
    ah.OODModel.load(folder / "model.ood")


@mistake(ah.LoadError, "no_such.db", "no such file", "drift monitor")
async def a_drift_database_that_is_not_there(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.DriftReport.read(folder / "no_such.db")


@mistake(ah.SpecError, "at least", "events")
async def too_few_events_for_a_baseline(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.DriftBaseline.fit_arrays(np.random.default_rng(0).normal(size=(20, 4)))


@mistake(ah.SpecError, "drfit", "mean features")
async def a_metric_that_is_none(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.DriftMonitor(
        drift_fixtures.fit(), folder / "drift.db", rules=[ah.DriftRule(name="a", metric="drfit", warning="auto")]
    )


@mistake(ah.SpecError, "'baseline.drift'", "DriftBaseline.load")
async def a_path_for_a_baseline(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.DriftMonitor("baseline.drift", folder / "drift.db")  # type: ignore[arg-type]


# the network


@mistake(ah.DeploymentError, "127.0.0.1:99999", "0 to 65535")
async def a_port_that_is_none(folder: Path, patch: pytest.MonkeyPatch) -> None:
    app = aiohooks.server.create_app(ah.Deployment.load(tiny_models.classifier()))
    async with aiohooks.server.serve(app, "127.0.0.1", 99_999):
        pass


@mistake(ah.SpecError, "takes no token", "token_env=")
async def a_token_for_a_remote_model(folder: Path, patch: pytest.MonkeyPatch) -> None:
    ah.Deployment.remote("http://127.0.0.1:1", "dogs", token="abc")


@mistake(ah.FrameError, "several pictures", "'pictures'", "iterdir")
async def a_folder_for_a_session(folder: Path, patch: pytest.MonkeyPatch) -> None:
    await ah.Session("http://127.0.0.1:1").infer_many("pictures")


@mistake(ah.DeploymentError, "127.0.0.1", "in use", "port")
async def a_port_that_is_taken(folder: Path, patch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        app = aiohooks.server.create_app(ah.Deployment.load(tiny_models.classifier()))
        async with aiohooks.server.serve(app, "127.0.0.1", taken.getsockname()[1]):
            pass


@mistake(ah.DeploymentError, "'model.xml'", "Deployment.load(path)")
async def a_path_to_serve(folder: Path, patch: pytest.MonkeyPatch) -> None:
    aiohooks.server.create_app("model.xml")  # type: ignore[arg-type]


@mistake(ah.SessionError, "127.0.0.1", "cannot")
async def a_server_that_is_not_there(folder: Path, patch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with ah.Session(f"http://127.0.0.1:{port}", timeout=0.3) as session:
        await session.infer(tiny_models.plain())


@pytest.mark.parametrize("one", MISTAKES, ids=lambda one: one.do.__name__)
def test_the_message_names_the_mistake_and_the_way_out(
    one: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(one.error) as raised:
        anyio.run(one.do, tmp_path, monkeypatch)
    said = str(raised.value)
    for part in one.says:
        assert re.search(part, said) if "|" in part else part in said, said
    assert "Exception from src" not in said


# the command line


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("shelf")
    tiny_models.save(tiny_models.classifier(), folder / "model.xml")
    ood_fixtures.write(folder / "pictures", ood_fixtures.normal(1))
    (folder / "hooks.json").write_text(json.dumps({"version": 1, "hooks": []}))
    return folder


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("rnu model.xml pictures", 2, ["invalid choice: 'rnu'", "run"]),
        ("run model.xml pictures --ouput overlays", 2, ["aiohooks run", "unrecognized arguments: --ouput", "did you mean --output?"]),
        ("drift fit model.xml pictures -o b --held-uot c", 2, ["aiohooks drift fit", "did you mean --held-out?"]),
        ("run model.xml 0", 1, ["0: files and folders", "ah.camera"]),
        ("run model.xml rtsp://cam/1", 1, ["rtsp://cam/1: files and folders", "ah.camera"]),
        ("run model.xml", 2, ["SOURCE"]),
        ("run modle.xml pictures", 1, ["modle.xml", "there is no such file or folder"]),
        ("run model.xml pictrues", 1, ["pictrues", "there is no such file or folder"]),
        ("run model.xml pictures --hooks hoks.json", 1, ["hoks.json", "no such file|cannot be read|cannot read"]),
        ("run model.xml .", 1, ["no picture in it", "--recursive"]),
        ("run model.xml pictures --parameter scale_values", 2, ["KEY=VALUE"]),
        ("run model.xml pictures --saved-hooks", 2, ["no hooks are saved", "--hooks FILE"]),
        ("run model.xml pictures --device TPU", 1, ["TPU", "CPU"]),
        ("run model.xml pictures --max-requests 0", 2, ["--max-requests", "at least 1"]),
        ("run model.xml pictures --stride 2", 2, ["--stride", "no SOURCE is a video"]),
        ("serve model.xml --host 0.0.0.0", 2, ["takes a token", "--token-env"]),
        ("serve model.xml model.xml", 2, ["two models are called model", "NAME="]),
        ("serve model.xml --limit bodys=3", 2, ["bodys", "there are:"]),
        ("ood score model.xml no.ood pictures", 1, ["no.ood", "no such file"]),
        ("drift report no.db -o report.html", 1, ["no.db", "no such file"]),
        ("drift report no.db", 2, ["-o"]),
        ("spool status no_spool", 1, ["no_spool"]),
        ("spool purge no_spool", 2, ["--yes"]),
    ],
)  # fmt: skip
def test_the_command_line_says_so_too(
    command: str,
    code: int,
    says: list[str],
    shelf: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(shelf)
    try:
        ended = main(command.split())
    except SystemExit as error:
        ended = error.code  # type: ignore[assignment]
    said = "".join(capsys.readouterr())
    assert ended == code, said
    for part in says:
        assert re.search(part, said) if "|" in part else part in said, said
    assert "Traceback" not in said
