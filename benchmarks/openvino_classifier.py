"""A classifier on OpenVINO as one writes it for a model server by hand; nothing of aiohooks."""

import threading

import cv2
import numpy as np
import openvino as ov


class Classifier:
    """From JPEG bytes to label and score; several threads may ask."""

    def __init__(self, path: str, hint: str) -> None:
        model = ov.Core().read_model(path)
        prepared = ov.preprocess.PrePostProcessor(model)
        prepared.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        prepared.input().model().set_layout(ov.Layout("NCHW"))
        prepared.input().preprocess().convert_element_type(ov.Type.f32).mean([127.0] * 3).scale([128.0] * 3)
        self._compiled = ov.Core().compile_model(prepared.build(), "CPU", {"PERFORMANCE_HINT": hint})
        self._threads = threading.local()

    def classify(self, jpeg: bytes) -> dict[str, float]:
        request = getattr(self._threads, "request", None)
        if request is None:
            request = self._threads.request = self._compiled.create_infer_request()
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        side = min(picture.shape[:2])
        top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
        resized = cv2.resize(picture[top : top + side, left : left + side], (256, 256))
        request.infer({0: resized[None]})
        logits = request.get_output_tensor(0).data[0]
        best = int(logits.argmax())
        return {"label": best, "score": float(1 / np.exp(logits - logits[best]).sum())}
