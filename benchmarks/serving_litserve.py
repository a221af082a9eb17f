"""LitServe with the classifier, in an environment of its own: python serving_litserve.py MODEL PORT WORKERS."""

import sys

import litserve
from openvino_classifier import Classifier


class Api(litserve.LitAPI):
    def __init__(self, path, hint):
        super().__init__()
        self._path = path
        self._hint = hint

    def setup(self, device):  # noqa: ARG002  # LitServe passes it
        self._classifier = Classifier(self._path, self._hint)

    def decode_request(self, request):
        return request["image"].file.read()

    def predict(self, jpeg):
        return self._classifier.classify(jpeg)

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    path, port, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    api = Api(path, "LATENCY" if workers == 1 else "THROUGHPUT")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="error")
