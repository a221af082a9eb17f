"""tritonclient at work in an environment of its own, which has nothing of aiohooks: one JSON job comes in, one answer goes out.

``{"url": "host:port", "model": …, "picture": file, "pixels": file that numpy reads}`` infers in every way that the client has and answers
the outputs of each, by the name of the way; and what the client is told about server and model.
"""

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.http
import tritonclient.http.aio

OUTPUTS = ["boxes", "scores", "label_indices", "label_names", "class_scores"]


def plain(result):
    values = {}
    for name in OUTPUTS:
        array = result.as_numpy(name)
        if array is not None:
            values[name] = [
                value.decode() if isinstance(value, bytes) else value for value in array.reshape(-1).tolist()
            ]
    return values


def inputs_of(module, job, kind, binary):
    if kind == "pixels":
        pixels = np.load(job["pixels"])
        one = module.InferInput("pixels", list(pixels.shape), "UINT8")
        one.set_data_from_numpy(pixels, binary_data=binary)
    else:
        one = module.InferInput("image", [1], "BYTES")
        one.set_data_from_numpy(np.array([Path(job["picture"]).read_bytes()], object), binary_data=binary)
    return [one]


def ways():
    """Name, kind of input, whether it and the outputs are binary, and compression of each way."""
    yield "pixels, JSON", "pixels", False, False, None
    yield "pixels, binary", "pixels", True, True, None
    yield "picture, binary", "image", True, True, None
    yield "pixels, binary, gzip", "pixels", True, True, "gzip"
    yield "pixels, JSON, deflate", "pixels", False, False, "deflate"


def call(job, module, kind, binary, outputs_binary, compression):
    outputs = [module.InferRequestedOutput(name, binary_data=outputs_binary) for name in job["outputs"]]
    return {
        "model_name": job["model"],
        "inputs": inputs_of(module, job, kind, binary),
        "outputs": outputs or None,
        "request_id": "7",
        "request_compression_algorithm": compression,
        "response_compression_algorithm": compression,
    }


def with_sync(job, found):
    client = tritonclient.http.InferenceServerClient(job["url"], concurrency=4)
    found["live"] = client.is_server_live() and client.is_server_ready() and client.is_model_ready(job["model"])
    found["extensions"] = client.get_server_metadata()["extensions"]
    found["metadata"] = client.get_model_metadata(job["model"])
    found["config"] = client.get_model_config(job["model"])
    found["index"] = client.get_model_repository_index()
    for name, *way in ways():
        result = client.infer(**call(job, tritonclient.http, *way))
        assert result.get_response()["id"] == "7"
        found["ways"][f"sync, {name}"] = plain(result)
    requests = [client.async_infer(**call(job, tritonclient.http, "pixels", True, True, None)) for _ in range(8)]
    for number, request in enumerate(requests):
        found["ways"][f"async_infer {number}"] = plain(request.get_result())
    try:
        client.infer("missing", inputs_of(tritonclient.http, job, "pixels", True))
    except tritonclient.http.InferenceServerException as error:
        found["missing"] = [error.status(), error.message()]
    found["statistics"] = client.get_inference_statistics(job["model"])["model_stats"]
    client.close()


async def with_asyncio(job, found):
    async with tritonclient.http.aio.InferenceServerClient(job["url"]) as client:
        for name, *way in ways():
            result = await client.infer(**call(job, tritonclient.http.aio, *way))
            found["ways"][f"asyncio, {name}"] = plain(result)


def main():
    job = json.load(sys.stdin)
    found = {"ways": {}}
    with_sync(job, found)
    asyncio.run(with_asyncio(job, found))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
