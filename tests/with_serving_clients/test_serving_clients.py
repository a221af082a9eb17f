"""The clients that people have, against our server, and our deployment on KServe's server.

Each has an environment of its own, named by ``TRITON_PYTHON`` and ``KSERVE_PYTHON``.
"""

import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import pytest
import served
import tiny_models

import aiohooks as ah
from aiohooks import Prediction

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PICTURE = tiny_models.picture(red=(8, 4, 24, 20), blue=(30, 30, 50, 60))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def at_work(client: str, job: dict[str, Any]) -> dict[str, Any]:
    """Run a client, while the server answers it in this process."""
    command = [os.environ[f"{client.upper()}_PYTHON"], str(HERE / f"{client}_process.py")]
    done = await anyio.run_process(command, input=json.dumps(job).encode(), check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def expected(prediction: Prediction) -> dict[str, list[Any]]:
    arrays = {
        "boxes": prediction.boxes,
        "scores": prediction.scores,
        "label_indices": prediction.label_indices,
        "class_scores": prediction.class_scores,
    }
    values = {name: array.reshape(-1).tolist() for name, array in arrays.items() if array is not None}
    return {**values, "label_names": list(prediction.label_names)}


@pytest.mark.parametrize("client", ["triton", "kserve"])
@pytest.mark.parametrize("model", ["classifier", "detector"])
@pytest.mark.parametrize("outputs", [[], ["scores", "boxes"]])
async def test_every_way_gives_the_numbers_of_infer(
    tmp_path: Path, client: str, model: str, outputs: list[str]
) -> None:
    path = tiny_models.save(getattr(tiny_models, model)(), tmp_path / f"{model}.xml")
    (tmp_path / "picture.png").write_bytes(served.png(PICTURE))
    np.save(tmp_path / "pixels.npy", PICTURE)
    async with served.serving(path) as server:
        job = {
            "url": server.url.removeprefix("http://"),
            "model": model,
            "outputs": outputs,
            "picture": str(tmp_path / "picture.png"),
            "pixels": str(tmp_path / "pixels.npy"),
        }
        found = await at_work(client, job)
        local = expected(await server.deployment.infer(PICTURE))
        metrics = await server.metrics()
    wanted = {name: local[name] for name in outputs} if outputs else local
    assert found["live"] is True
    assert len(found["ways"]) == {"triton": 18, "kserve": 3}[client]
    for way, values in found["ways"].items():
        assert values == wanted, way
    name = f'aiohooks_requests_total{{protocol="open_inference",deployment="{model}",outcome="done",code="200"}}'
    assert metrics[name] == len(found["ways"])


async def test_triton_is_told_what_it_asks(tmp_path: Path) -> None:
    path = tiny_models.save(tiny_models.classifier(), tmp_path / "colours.xml")
    (tmp_path / "picture.png").write_bytes(served.png(PICTURE))
    np.save(tmp_path / "pixels.npy", PICTURE)
    async with served.serving(path) as server:
        job = {
            "url": server.url.removeprefix("http://"),
            "model": "colours",
            "outputs": [],
            "picture": str(tmp_path / "picture.png"),
            "pixels": str(tmp_path / "pixels.npy"),
        }
        found = await at_work("triton", job)
    assert "binary_tensor_data" in found["extensions"]
    assert [tensor["name"] for tensor in found["metadata"]["inputs"]] == ["image", "pixels"]
    assert {tensor["name"] for tensor in found["metadata"]["outputs"]} >= {"boxes", "scores", "class_scores"}
    assert found["config"]["input"][0] == {"name": "image", "data_type": "TYPE_STRING", "dims": [-1], "optional": True}
    assert [model["name"] for model in found["index"]] == ["colours", "colours.tensors"]
    status, message = found["missing"]
    assert "404" in str(status)
    assert message == "there is no deployment 'missing' here; there are: colours"
    assert found["statistics"][0]["inference_stats"]["success"]["count"] == 13


@asynccontextmanager
async def kserve_server() -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [os.environ["KSERVE_PYTHON"], str(HERE / "kserve_server.py"), str(port)]
    async with await anyio.open_process(
        command, stdin=None, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


async def test_a_deployment_on_kserves_own_server(tmp_path: Path) -> None:
    """Order, failure, cancellation and hooks as with a model that runs here."""
    path = served.colours(tmp_path)
    seen = []

    async def keep(event: ah.HookEvent) -> None:
        seen.append(event.frame.index)

    colours = [tiny_models.plain(**{colour: 255}) for colour in ("red", "green", "blue") * 20]
    white = tiny_models.plain(red=255, green=255, blue=255)
    async with (
        kserve_server() as url,
        ah.Deployment.load(path, preprocessing="opencv", config={"INFERENCE_PRECISION_HINT": "f32"}) as local,
        ah.Deployment.remote(url, "colours", like=path, timeout=60) as remote,  # it takes seconds to start
    ):
        remote.add_hook(ah.PostInferenceHook(trigger=ah.LabelTrigger(["blue"]), action=keep))
        async with remote.stream([*colours[:30], white, *colours[30:]]) as results:
            told = [result async for result in results]
        await remote.drained()
        fired = len(seen)
        with anyio.move_on_after(0.001):
            await remote.infer(colours[0])
        there, here = await remote.infer(PICTURE), await local.infer(PICTURE)
    assert [result.index for result in told] == list(range(61))
    assert [result.index for result in told if not result.ok] == [30]
    assert "too white" in str(told.pop(30).error)
    assert [result.prediction.label_names[0] for result in told] == ["red", "green", "blue"] * 20
    assert fired == 20
    assert there.label_names == here.label_names
    assert there.scores == pytest.approx(here.scores, abs=1e-5)
    assert there.class_scores == pytest.approx(here.class_scores, abs=1e-5)
