"""Collect the frames that a model has never seen the like of: the ones to label and train with next.

    python examples/out_of_distribution.py

A classifier is trained on the handwritten digits 0 to 7. In production it meets 8 and 9, too, and takes each for some digit between 0 and 7.
What gives them away is where they lie among the features of the training pictures. The features are those of a network for photographs, to which all
digits look much alike: a hard case. What is collected is in the folder ``hook_data/unknown``: a handful of pictures, most of them 8 and 9.
``ood_report.html`` shows the strangest ones and how well the two kinds are told apart.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

import aiohooks as ah
from aiohooks.demo.assets import MNIST_5K
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar
from aiohooks.monitors.ood.report import Group, report_page

KNOWN = 8
Pictures = NDArray[np.uint8]


async def main() -> None:
    with progress_bar() as progress:
        backbone = await classifier(progress)
        [table] = await fetch([MNIST_5K], progress=progress)
    pictures, digits = await anyio.to_thread.run_sync(read_digits, table)
    is_known = digits < KNOWN
    train, calibration, held_out = np.split(np.flatnonzero(is_known), [800, 1300])[:3]
    held_out, unknown = held_out[:300], np.flatnonzero(~is_known)[:100]
    model = await train_classifier(backbone, pictures[train], digits[train])

    # Here it begins. The file of this model has no feature vector: what its last layer reads becomes one.
    async with ah.Deployment.load(model, features=True) as deployment:
        # What is normal is learnt from the training pictures, and how unusual a normal picture can be from others: a model
        # knows those that it was trained with too well.
        ood = await ah.OODModel.fit(
            deployment, list(pictures[train]), calibration=list(pictures[calibration]), progress=True
        )
        await anyio.to_thread.run_sync(ood.save, "digits.ood")
        print(f"fitted on {ood.width} features, {ood.cost_seconds * 1e6:.0f} µs a frame, {ood.nbytes / 1e6:.1f} MB")

        # One frame in fifty of those that are normal may be collected by mistake. The trigger names the file, so that the hook
        # can be saved and travels with the deployment.
        hook = deployment.add_hook(
            ah.PostInferenceHook(
                name="unknown",
                trigger=ah.OODTrigger("digits.ood", false_alarm_rate=0.02),
                action=ah.FileSystemDataCollection("hook_data/unknown", save_overlays=False),
            )
        )
        # Attached, the model puts its score on every prediction.
        deployment.attach(ood)
        for what, chosen in (("digits 0 to 7", held_out), ("digits 8 and 9", unknown)):
            before = hook.counts.fired
            results = await deployment.infer_many(list(pictures[chosen]))
            await deployment.drained()
            scores = [result.prediction.ood_score or 0.0 for result in results]
            sure = np.mean([result.prediction.scores[0] > 0.9 for result in results])
            print(
                f"{what}: collected {hook.counts.fired - before} of {len(chosen)}, median score {np.median(scores):.2f}; "
                f"the classifier is over 90 % sure of {sure:.0%}"
            )

        # Why is this one strange?
        strangest = max((result.prediction for result in results), key=lambda found: found.ood_score or 0)
        why = ood.explain(*ood.evidence(strangest))
        near = ", ".join(f"{digits[train][one.index]}" for one in why.neighbours)
        print(
            f"the strangest 8 or 9: p = {why.p_value:.1e}, {why.strongest.name} says most; nearest training pictures: {near}"
        )

        # A folder or an archive is screened at once: of what is flagged, a tenth at most is expected to be normal.
        groups = []
        for title, kind, chosen in (("digits 0 to 7", "in", held_out), ("digits 8 and 9", "out", unknown)):
            screened = await ood.screen(deployment, list(pictures[chosen]), false_discovery_rate=0.1, strangest=12)
            groups.append(Group(title, kind, screened))  # type: ignore[arg-type]
        page = report_page("Digits", ood, groups, at=datetime.now(UTC))
        await anyio.Path("ood_report.html").write_text(page, encoding="utf-8")


def read_digits(table: Path) -> tuple[Pictures, NDArray[np.int64]]:
    """Return the pictures in random order, 28×28 grey values as RGB, and the digits on them."""
    rows = np.loadtxt(table, np.float32, delimiter=",")
    rows = np.random.default_rng(0).permutation(rows)
    grey = rows[:, :-1].astype(np.uint8).reshape(-1, 28, 28, 1)
    return np.repeat(grey, 3, axis=-1), rows[:, -1].astype(np.int64)


async def train_classifier(backbone: Path, pictures: Pictures, digits: NDArray[np.int64]) -> ov.Model:
    """Return a network for the digits: that of ImageNet with a last layer trained on the pictures."""
    async with ah.Deployment.load(backbone, features=True) as deployment:
        results = await deployment.infer_many(list(pictures))
    features = np.array([result.prediction.feature_vector for result in results])
    weights, bias = await anyio.to_thread.run_sync(regression, features, digits)

    graph = ov.Core().read_model(backbone)
    vector = (
        next(output for output in graph.outputs if "feature_vector" in output.get_names()).get_node().input_value(0)
    )
    logits = op.add(op.matmul(vector, weights, False, False), bias[None])
    logits.output(0).set_names({"scores"})
    model = ov.Model([op.result(logits)], graph.get_parameters(), "digits")
    labels = [str(digit) for digit in range(KNOWN)]
    told = {
        "model_type": "Classification",
        "labels": " ".join(labels),
        "label_info": json.dumps({"label_names": labels, "label_ids": labels, "label_groups": [labels]}),
        "resize_type": "standard",
        "mean_values": "127.0 127.0 127.0",
        "scale_values": "128.0 128.0 128.0",
    }
    for key, value in told.items():
        model.set_rt_info(value, ["model_info", key])
    return model


def regression(
    features: NDArray[np.float32], classes: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights and bias of a softmax regression, by gradient descent on standardised features."""
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-3
    x, wanted = (features - mean) / scale, np.eye(KNOWN, dtype=np.float32)[classes]
    weights, bias = np.zeros((x.shape[1], KNOWN), np.float32), np.zeros(KNOWN, np.float32)
    for _ in range(200):
        powers = np.exp(x @ weights + bias)
        error = (powers / powers.sum(axis=1, keepdims=True) - wanted) / len(x)
        weights -= 0.05 * (x.T @ error + 1e-3 * weights)
        bias -= 0.05 * error.sum(axis=0)
    weights /= scale[:, None]
    return weights, bias - mean @ weights


if __name__ == "__main__":
    anyio.run(main)
