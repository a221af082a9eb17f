"""geti-sdk at work in an environment of its own, which has nothing of aiohooks: one JSON job comes in, one answer goes out.

``{"predict": {"folder": …, "pictures": […]}}`` loads a deployment with its hooks, infers each picture (a file that numpy reads) and answers
``hooks`` as geti-sdk would save them, and ``predictions``.
``{"save": {"folder": …, "hooks": […], "to": …}}`` loads a deployment, adds hooks and saves it elsewhere.
"""

import json
import logging
import os
import sys
import types
import warnings
from pathlib import Path

# geti_sdk.demos imports modules of geti-sdk's tests, which its wheel does not contain.
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests.helpers"] = types.ModuleType("tests.helpers")
sys.modules["tests.helpers"].DatumAnnotationReader = object  # type: ignore[attr-defined]

import numpy as np  # noqa: E402
from geti_sdk.deployment import Deployment  # noqa: E402
from geti_sdk.post_inference_hooks import PostInferenceHook  # noqa: E402
from geti_sdk.rest_converters.prediction_rest_converter import PredictionRESTConverter  # noqa: E402


def predict(folder, pictures):
    deployment = Deployment.from_folder(folder)
    deployment.load_inference_models(device="CPU", openvino_configuration={"INFERENCE_PRECISION_HINT": "f32"})
    predictions = [deployment.infer(np.load(picture), name=Path(picture).stem) for picture in pictures]
    for hook in deployment.post_inference_hooks:
        if hook.parallel_execution:
            hook.executor.shutdown(wait=True)
    return {
        "hooks": [hook.to_dict() for hook in deployment.post_inference_hooks],
        "predictions": [plain(PredictionRESTConverter.to_dict(prediction)) for prediction in predictions],
    }


def save(folder, hooks, to):
    deployment = Deployment.from_folder(folder)
    for hook in hooks:
        deployment.add_post_inference_hook(PostInferenceHook.from_dict(hook))
    assert deployment.save(to)


def plain(value):
    """Return it without types of numpy, which geti-sdk's JSON form of a prediction is full of."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def main():
    warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is not an answer
    [(what, arguments)] = json.load(sys.stdin).items()
    json.dump({"predict": predict, "save": save}[what](**arguments), answers)
    answers.flush()


if __name__ == "__main__":
    main()
