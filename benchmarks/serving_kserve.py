"""KServe's Python server with the classifier, in an environment of its own: python serving_kserve.py MODEL PORT."""

import asyncio
import logging
import sys
from concurrent.futures import ThreadPoolExecutor

import kserve
import numpy as np
from kserve import InferOutput, InferRequest, InferResponse
from openvino_classifier import Classifier


class Model(kserve.Model):
    def __init__(self, path):
        super().__init__("m")
        self._classifier = Classifier(path, "THROUGHPUT")
        self._threads = ThreadPoolExecutor(4)
        self.ready = True

    async def predict(self, payload: InferRequest, headers=None, response_headers=None):  # noqa: ARG002  # KServe passes them
        jpeg = payload.inputs[0].as_numpy().tobytes()
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, self._classifier.classify, jpeg)
        outputs = []
        for name, key, datatype, dtype in (
            ("label_indices", "label", "INT64", np.int64),
            ("scores", "score", "FP32", np.float32),
        ):
            output = InferOutput(name, [1], datatype)
            output.set_data_from_numpy(np.array([found[key]], dtype), binary_data=False)
            outputs.append(output)
        return InferResponse(payload.id, "m", outputs)


if __name__ == "__main__":
    path, port = sys.argv[1:3]
    sys.argv = sys.argv[:1]
    logging.disable(logging.INFO)  # it writes five lines a request
    kserve.ModelServer(http_port=int(port), enable_grpc=False, workers=1, access_log_format=None).start([Model(path)])
