"""The clients that people have, against our server; each in an environment of its own, named by ``TRITON_PYTHON`` and ``KSERVE_PYTHON``."""

import json
import os
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import pytest
import served
import tiny_models

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
