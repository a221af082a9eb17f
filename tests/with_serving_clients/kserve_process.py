"""KServe's client at work in an environment of its own, which has nothing of aiohooks: one JSON job comes in, one answer goes out.

As in ``triton_process.py``.
"""

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

OUTPUTS = ["boxes", "scores", "label_indices", "label_names", "class_scores"]


def plain(response):
    values = {}
    for output in response.outputs:
        if output.name in OUTPUTS:
            array = output.as_numpy().reshape(-1).tolist()
            values[output.name] = [value.decode() if isinstance(value, bytes) else value for value in array]
    return values


def request_of(job, kind, binary, outputs_binary):
    if kind == "pixels":
        pixels = np.load(job["pixels"])
        one = InferInput("pixels", list(pixels.shape), "UINT8")
        one.set_data_from_numpy(pixels, binary_data=binary)
    else:
        one = InferInput("image", [1], "BYTES")
        one.set_data_from_numpy(np.array([Path(job["picture"]).read_bytes()], object), binary_data=binary)
    outputs = [RequestedOutput(name, {"binary_data": outputs_binary}) for name in job["outputs"]]
    return InferRequest(job["model"], [one], request_id="7", request_outputs=outputs)


async def main():
    job = json.load(sys.stdin)
    base = f"http://{job['url']}"
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    found = {"ways": {}}
    found["live"] = (
        await client.is_server_live(base)
        and await client.is_server_ready(base)
        and await client.is_model_ready(base, job["model"])
    )
    for name, *way in [
        ("pixels, JSON", "pixels", False, False),
        ("pixels, binary", "pixels", True, True),
        ("picture, binary", "image", True, True),
    ]:
        response = await client.infer(base, request_of(job, *way), model_name=job["model"])
        assert response.id == "7"
        found["ways"][name] = plain(response)
    await client.close()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
