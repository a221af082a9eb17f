"""geti-sdk at work in an environment of its own, which has nothing of aiohooks: commands and answers are lines of JSON.

``{"open": {"folder": …, "frames": …, "mode": …, "hooks": […]}}`` loads a deployment in place of the one before and
answers OpenVINO's performance ``hint`` and ``precision``.
``{"count": n}`` infers n frames, waits until hooks have done their work, and answers ``seconds``, how many
``predictions`` came out, and whether ``in_order``.

Modes are those of geti-sdk's notebooks: ``infer`` with a model loaded by default, ``infer_async`` and ``AsyncVideoProcessor``
with one loaded for throughput, with as many requests as there are cores.
"""

import gc
import json
import logging
import os
import sys
import threading
import time
import types
import warnings

# geti_sdk.demos imports modules of geti-sdk's tests, which its wheel does not contain.
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests.helpers"] = types.ModuleType("tests.helpers")
sys.modules["tests.helpers"].DatumAnnotationReader = object  # type: ignore[attr-defined]

import numpy as np  # noqa: E402
from geti_sdk.demos import AsyncVideoProcessor  # noqa: E402
from geti_sdk.deployment import Deployment  # noqa: E402
from geti_sdk.post_inference_hooks import PostInferenceHook  # noqa: E402


class Work:
    """Infers frames in one mode, with hooks.

    Args:
        folder: of a Geti deployment.
        frames: path of an array of frames, taken in turn.
        mode: see above.
        hooks: as Geti saves them.
    """

    def __init__(self, folder, frames, mode, hooks):
        self.frames = np.load(frames)
        self.deployment = Deployment.from_folder(folder)
        if mode == "infer":
            self.deployment.load_inference_models(device="CPU")
        else:
            self.deployment.load_inference_models(
                device="CPU",
                max_async_infer_requests=os.cpu_count(),
                openvino_configuration={"PERFORMANCE_HINT": "THROUGHPUT"},
            )
        self.hooks = [PostInferenceHook.from_dict(hook) for hook in hooks]
        for hook in self.hooks:
            self.deployment.add_post_inference_hook(hook)
        self.seen = []
        self.named = 0
        if mode == "infer_async":
            self.deployment.set_asynchronous_callback(self.keep)
        elif mode == "AsyncVideoProcessor":
            self.video = AsyncVideoProcessor(self.deployment, self.keep)
        self.run = {"infer": self.infer, "infer_async": self.infer_async, "AsyncVideoProcessor": self.process}[mode]

    def settings(self):
        compiled = self.deployment.models[0]._inference_model.inference_adapter.compiled_model
        return {
            "hint": str(compiled.get_property("PERFORMANCE_HINT")),
            "precision": compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name(),
        }

    def keep(self, _frame, _prediction, index):
        self.seen.append(index)

    def infer(self, count):
        for index in range(count):
            self.deployment.infer(self.frame(index), name=f"{self.named:06}")
            self.named += 1
            self.seen.append(index)
        for hook in self.hooks:
            drain(hook)

    def infer_async(self, count):
        for index in range(count):
            self.deployment.infer_async(self.frame(index), index)
        self.deployment.await_all()

    def process(self, count):
        self.video.start()
        for index in range(count):
            self.video.process(self.frame(index), index)
        self.video.await_all()

    def frame(self, index):
        return self.frames[index % len(self.frames)]


def drain(hook):
    """Wait until a hook has done its work, and leave it usable, which shutting down its executor would not.

    Its executor takes jobs in their order. When each of its threads waits at the barrier, none has anything else to do.
    """
    if hook.parallel_execution:
        threads = hook.executor._max_workers
        barrier = threading.Barrier(threads + 1)
        for _ in range(threads):
            hook.executor.submit(barrier.wait)
        barrier.wait()


def main():
    warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed is not an answer
    work = None
    gc.freeze()  # so that collecting garbage before each burst need not go through all that was imported
    for line in sys.stdin:
        command = json.loads(line)
        if "open" in command:
            work = None  # the one before ends with its threads
            gc.collect()
            work = Work(**command["open"])
            answer = work.settings()
        else:
            gc.collect()
            work.seen.clear()
            start = time.perf_counter()
            work.run(command["count"])
            seconds, seen = time.perf_counter() - start, work.seen
            answer = {"seconds": seconds, "predictions": len(seen), "in_order": seen == list(range(command["count"]))}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
