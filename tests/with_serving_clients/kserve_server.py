"""KServe's Python server with a model of tensors, in an environment of its own: python kserve_server.py PORT.

The model is the tiny classifier of the tests, written in numpy: the logit of a class is ten times the mean of its channel.
"""

import sys

import kserve
import numpy as np
from kserve import InferOutput, InferRequest, InferResponse


class Colours(kserve.Model):
    def __init__(self):
        super().__init__("colours")
        self.ready = True

    async def get_input_types(self):
        return [{"name": "image", "datatype": "FP32", "shape": [1, 3, 64, 64]}]

    async def get_output_types(self):
        return [{"name": "logits", "datatype": "FP32", "shape": [1, 3]}]

    def predict(self, payload: InferRequest, headers=None, response_headers=None):  # KServe passes them
        image = payload.inputs[0].as_numpy()
        if image.max() > 0.99 and image.min() > 0.99:
            raise ValueError("too white")
        logits = (10 * image.mean((2, 3))).astype(np.float32)
        output = InferOutput("logits", list(logits.shape), "FP32")
        output.set_data_from_numpy(logits, binary_data=True)
        return InferResponse(payload.id, "colours", [output])


if __name__ == "__main__":
    port = sys.argv.pop()
    kserve.ModelServer(http_port=int(port), enable_grpc=False, workers=1).start([Colours()])
