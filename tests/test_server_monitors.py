"""Monitors of what is served: their scores in answers, what they measure for Prometheus, and on the command line."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import numpy as np
import ood_fixtures
import openvino as ov
import pytest
import served
import server_process
from ood_fixtures import normal, strange
from test_server_open_inference import encoded, refusal

import aiohooks as ah
from aiohooks.cli import main
from aiohooks.histogram import Histogram
from aiohooks.metric_family import Family
from aiohooks.monitors.drift.stored import baseline_in
from aiohooks.open_inference import InferRequest, OutputWish
from aiohooks.server.exposition import text_of

pytestmark = pytest.mark.anyio

ODD = served.png(strange(1)[0])
USUAL = served.png(normal(1, seed=9)[0])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Fitted(NamedTuple):
    """A model's file, an OOD model and a baseline of it, and their files."""

    model: Path
    ood: ah.OODModel
    ood_file: Path
    baseline: ah.DriftBaseline
    baseline_file: Path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("fitted")
    ov.save_model(ood_fixtures.model(), folder / "colours.xml", compress_to_fp16=False)

    async def features() -> Any:
        async with ood_fixtures.deployment() as model:
            return np.array([found.prediction.feature_vector for found in await model.infer_many(normal(300))])

    vectors = anyio.run(features)
    ood = ah.OODModel.fit_arrays(vectors)
    ood.save(folder / "model.ood")
    baseline = ah.DriftBaseline.fit_arrays(vectors, components=4, random_features=16, windows=400)
    baseline.save(folder / "baseline.drift")
    return Fitted(folder / "colours.xml", ood, folder / "model.ood", baseline, folder / "baseline.drift")


# scores in answers


async def test_every_protocol_tells_the_ood_score(fitted: Fitted) -> None:
    deployment = ah.Deployment.load(fitted.model, features=True)
    path = "/deployments/colours"
    async with (
        served.serving(deployment) as server,
        ah.Deployment.remote(server.url, "colours") as remote,
        ah.Session(server.url) as session,
    ):
        async with server.client.post(f"{path}/infer", data=ODD) as answer:
            assert "ood_score" not in await answer.json()
        async with server.client.get("/v2/models/colours") as answer:
            assert "ood_score" not in {tensor["name"] for tensor in (await answer.json())["outputs"]}
        wish = InferRequest((encoded(strange(1)[0]),), (OutputWish("ood_score", True),))
        assert await refusal(server, "colours", wish) == (400, "no monitor gives an ood_score here")
        assert (await remote.infer(ODD)).ood_score is (await session.infer(ODD)).ood_score is None

        deployment.attach(fitted.ood)
        wanted = (await deployment.infer(ODD)).ood_score
        assert wanted is not None
        assert wanted > 0.5 > ((await remote.infer(USUAL)).ood_score or 1)
        for form in ("geti", "supervisely"):
            async with server.client.post(f"{path}/infer?form={form}", data=ODD) as answer:
                assert (await answer.json())["ood_score"] == wanted
        async with server.client.ws_connect(f"{path}/live") as socket:
            await socket.send_bytes(ODD)
            assert (await socket.receive_json())["ood_score"] == wanted
        async with server.client.get("/v2/models/colours") as answer:
            listed = {tensor["name"]: tensor for tensor in (await answer.json())["outputs"]}
            assert listed["ood_score"] == {"name": "ood_score", "datatype": "FP64", "shape": [-1]}
        assert (await remote.infer(ODD)).ood_score == wanted
        assert (await session.infer(ODD)).ood_score == wanted
        remote.attach(fitted.ood)
        await remote.infer(ODD)
        assert sum(remote.monitors[0].ood_scores.counts) == 1, "one of its own, though it came with the same"


@pytest.mark.parametrize("score", [-0.1, 1.5, "high", True, float("nan")])
def test_a_score_from_elsewhere_is_checked(score: Any) -> None:
    told = ah.Prediction.classification((2, 2), ["a"], [0.5], [0]).to_supervisely()
    assert ah.Prediction.from_supervisely(told | {"data": []}).ood_score is None
    assert ah.Prediction.from_supervisely(told | {"data": {"ood_score": 0.25}}).ood_score == 0.25
    with pytest.raises(ah.SpecError, match=r"data\.ood_score: expected a number"):
        ah.Prediction.from_supervisely(told | {"data": {"ood_score": score}})


# metrics


async def test_metrics_tell_what_monitors_have_seen(fitted: Fitted, tmp_path: Path) -> None:
    class Counting:
        name = "mine"

        def attached(self, _: object) -> None: ...

        async def observe(self, _: ah.Frame, __: ah.Prediction) -> ah.Prediction:
            raise ValueError("no")

        def metrics(self) -> Iterable[Family]:
            family = Family("mine_total", "counter", "Mine.")
            family.add(7)
            return [family]

    class Broken(Counting):
        def metrics(self) -> Iterable[Family]:
            raise ValueError("no")

    one, two = (ah.Deployment.load(fitted.model, features=True) for _ in range(2))
    async with ah.DriftMonitor(fitted.baseline, tmp_path / "drift.db", name="line 4", actions=()) as monitor:
        for deployment in (one, two):
            deployment.attach(fitted.ood)
            deployment.attach(monitor)
        for more in (fitted.ood, Counting(), Broken()):
            two.attach(more)
        async with served.serving(one, load={}) as server:
            for picture in (ODD, ODD, USUAL):
                async with server.client.post("/deployments/colours/infer", data=picture) as answer:
                    assert answer.status == 200
            await monitor.flush()
            metrics = await server.metrics()
        async with served.serving(two) as server:
            async with server.client.post("/deployments/colours/infer", data=ODD) as answer:
                assert answer.status == 200
            others = await server.metrics()
    ood = 'deployment="colours",monitor="OODModel"'
    assert metrics[f"aiohooks_monitor_predictions_total{{{ood}}}"] == 3
    assert metrics[f'aiohooks_ood_score_bucket{{{ood},le="0.5"}}'] == 1
    assert metrics[f"aiohooks_ood_score_count{{{ood}}}"] == 3
    assert metrics['aiohooks_monitor_predictions_total{deployment="colours",monitor="line 4"}'] == 3
    assert metrics['aiohooks_drift_events_total{monitor="line 4",outcome="accepted"}'] == 3
    assert metrics['aiohooks_drift_events_pending{monitor="line 4",state="waiting"}'] == 0
    assert metrics['aiohooks_drift_alarmed{monitor="line 4",rule="stream alarm"}'] == 0
    assert others['aiohooks_monitor_failed_total{deployment="colours",monitor="mine"}'] == 1
    assert others['aiohooks_ood_score_count{deployment="colours",monitor="OODModel 2"}'] == 1
    assert others["mine_total"] == 7
    assert "aiohooks_requests_under_way" in others


def test_families_of_one_name_are_told_as_one() -> None:
    families = [Family("a_total", "counter", "A."), Family("b", "histogram", "B."), Family("a_total", "counter", "A.")]
    families[0].add(1, of="x")
    families[2].add(2, of='"y"')
    families[1].add_histogram(Histogram((0.5,)))
    assert text_of([*families, Family("c", "gauge", "C.")]).splitlines() == [
        "# HELP a_total A.", "# TYPE a_total counter", 'a_total{of="x"} 1', 'a_total{of="\\"y\\""} 2',
        "# HELP b B.", "# TYPE b histogram", 'b_bucket{le="0.5"} 0', 'b_bucket{le="+Inf"} 0', "b_sum 0", "b_count 0",
    ]  # fmt: skip


# aiohooks serve


def test_served_with_monitors_from_the_command_line(fitted: Fitted, tmp_path: Path) -> None:
    database = tmp_path / "drift.db"
    arguments = [
        f"a={fitted.model}", f"b={fitted.model}", "--ood", f"a={fitted.ood_file}", "--drift", f"a={database}",
        "--baseline", f"a={fitted.baseline_file}",
    ]  # fmt: skip
    with server_process.serving(*arguments) as server:
        told = json.loads(server.request("POST", "/deployments/a/infer", ODD)[1])
        assert told["ood_score"] > 0.5
        assert "ood_score" not in json.loads(server.request("POST", "/deployments/b/infer", ODD)[1])
        metrics = server.request("GET", "/metrics")[1].decode()
        assert 'aiohooks_monitor_predictions_total{deployment="a",monitor="a"} 1' in metrics
        assert server.end() == 0
    assert baseline_in(database).identity == fitted.baseline.identity
    findings = ah.DriftReport.read(database).findings
    assert (findings.events, findings.version) == (1, "colours")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["b=MODEL", "--ood", "x.ood"], "--ood x.ood: say for which model, a= or b= before the file"),
        (["--ood", "c=x.ood"], "--ood c=x.ood: say for which model, a= before the file"),
        (["--ood", "x.ood", "--ood", "a=x.ood"], "--ood is given twice for model a"),
        (["--drift", "new.db"], "--drift new.db: there is no such file; to begin it"),
        (["--baseline", "x.drift"], "--baseline x.drift: goes with --drift"),
    ],
)
def test_wrong_usage(fitted: Fitted, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = [text.replace("MODEL", str(fitted.model)) for text in arguments]
    assert main(["serve", f"a={fitted.model}", *given, "--port", "0"]) == 2
    assert said in capsys.readouterr().err


def test_what_does_not_fit_is_said_before_anything_is_served(
    fitted: Fitted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.ood"
    ah.OODModel.fit_arrays(np.random.default_rng(0).normal(size=(80, 5))).save(other)
    for given, said in [(["--ood", str(other)], "48"), (["--drift", str(other)], "other.ood")]:
        assert main(["serve", str(fitted.model), "--port", "0", *given]) == 1
        assert said in capsys.readouterr().err
