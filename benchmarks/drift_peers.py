"""Other packages' drift detectors at work in an environment of their own, which has nothing of aiohooks.

``python drift_peers.py bed.npz answers.json``: the file has ``reference``, ``clean``, ``blurred``, ``dark`` (features) and ``sizes``; the answers
are the shares of windows that each finds drifted, milliseconds a call, and delays of detectors that look at one event at a time.
"""

import json
import logging
import sys
import time
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

from alibi_detect.cd import KSDrift  # noqa: E402
from evidently.legacy.metrics.data_drift.embedding_drift_methods import ModelDriftMethod  # noqa: E402
from frouros.callbacks.batch import PermutationTestDistanceBased  # noqa: E402
from frouros.detectors.data_drift.batch import MMD  # noqa: E402
from river.drift import ADWIN  # noqa: E402

STREAM, AFTER = 1000, 200


def main() -> None:
    bed = np.load(sys.argv[1])
    reference = bed["reference"].astype(np.float32)
    kinds = {name: bed[name].astype(np.float32) for name in ("clean", "blurred", "dark")}
    trials, rng = int(bed["trials"]), np.random.default_rng(0)
    frame = lambda rows: pd.DataFrame(rows, columns=[f"c{i}" for i in range(rows.shape[1])])  # noqa: E731
    kolmogorov = KSDrift(reference, p_val=0.05)
    evidently = ModelDriftMethod(bootstrap=len(reference) < 1000)
    permuted = MMD(callbacks=[PermutationTestDistanceBased(num_permutations=100, name="permuted", random_state=0)])
    permuted.fit(X=reference[:400])
    detectors = {
        "alibi-detect KS": lambda rows: bool(kolmogorov.predict(rows)["data"]["is_drift"]),
        "evidently, default": lambda rows: bool(evidently(frame(rows), frame(reference))[1]),
        "frouros MMD": lambda rows: permuted.compare(X=rows)[1]["permuted"]["p_value"] <= 0.05,
    }
    answers = {"windows": {}, "streams": {}}
    for name, detects in detectors.items():
        found, taken = {}, []
        for kind, rows in kinds.items():
            for size in bed["sizes"].tolist():
                drifted = 0
                for _ in range(trials):
                    window = rows[rng.choice(len(rows), size, replace=False)]
                    began = time.perf_counter()
                    drifted += detects(window)
                    taken.append(time.perf_counter() - began)
                found[f"{kind} {size}"] = drifted / trials
        answers["windows"][name] = {"found": found, "ms": 1000 * float(np.mean(taken))}
    mean = reference.mean(0)
    for kind in ("clean", "blurred", "dark"):
        delays = []
        for _ in range(trials):
            before = rng.choice(len(kinds["clean"]), STREAM)
            after = rng.choice(len(kinds[kind]), AFTER)
            rows = np.concatenate([kinds["clean"][before], kinds[kind][after]])
            detector, found_at, false = ADWIN(), None, 0
            for index, value in enumerate(np.linalg.norm(rows - mean, axis=1)):
                detector.update(float(value))
                if detector.drift_detected:
                    if index >= STREAM:
                        found_at = index - STREAM + 1
                        break
                    false += 1
            delays.append((found_at, false))
        missed = [AFTER + 1 if at is None else at for at, _ in delays]
        answers["streams"][kind] = {
            "median delay": float(np.median(missed)),
            "false per 1,000": float(np.mean([false for _, false in delays]) * 1000 / STREAM),
        }
    with open(sys.argv[2], "w") as file:  # noqa: PTH123
        json.dump(answers, file)


if __name__ == "__main__":
    main()
