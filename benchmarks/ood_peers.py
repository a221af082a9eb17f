"""pytorch-ood's detectors at work on features, in an environment of their own, which has nothing of aiohooks.

``python ood_peers.py bed.npz answers.npz``: the file has ``train``, ``labels``, ``weights`` and ``bias`` of the last layer, and sets of features to
judge under their names; the answers are, as ``detector|set``, how strange each is, and as ``detector|µs`` the time that one frame takes.
"""

import sys
import timeit
import types
import warnings
from importlib.machinery import ModuleSpec
from typing import Any

import numpy as np
import torch


class _StandIn(types.ModuleType):
    """torchvision, which pytorch-ood imports for its data sets and networks; detectors of features need neither."""

    __path__ = ()  # makes it a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


for name in (
    "",
    ".datasets",
    ".datasets.utils",
    ".datasets.vision",
    ".models",
    ".models.feature_extraction",
    ".transforms",
    ".transforms.functional",
):
    whole = f"torchvision{name}"
    sys.modules[whole] = _StandIn(whole)
    sys.modules[whole].__spec__ = ModuleSpec(whole, None, is_package=True)

warnings.filterwarnings("ignore")
torch.set_num_threads(2)

from pytorch_ood import detector  # noqa: E402

KNOWN = ("train", "labels", "weights", "bias")


def main() -> None:
    bed = np.load(sys.argv[1])
    train, labels, weights, bias = (torch.from_numpy(bed[name]) for name in KNOWN)
    train, weights, bias = train.float(), weights.float(), bias.float()
    layer = torch.nn.Linear(weights.shape[1], weights.shape[0])
    layer.weight.data, layer.bias.data = weights, bias
    width = train.shape[1]
    kept = max(1, min(512 if width >= 768 else width // 2, len(train) // 2))
    of_features = {
        "KNN": detector.KNN(None, k=11, norm_features=True),
        "Mahalanobis": detector.Mahalanobis(None),
        "RMD": detector.RMD(None),
        "ViM": detector.ViM(None, d=kept, w=weights, b=bias),
    }
    of_logits = {"MaxSoftmax": detector.MaxSoftmax, "EnergyBased": detector.EnergyBased, "GEN": detector.GEN}
    answers: dict[str, Any] = {}
    with torch.no_grad():
        for name, each in of_features.items():
            try:
                each.fit_features(train, labels)
            except Exception as error:  # it may well not invert a covariance of fewer pictures than numbers
                print(f"pytorch-ood {name}: {error}", file=sys.stderr)
                continue
            judge(bed, answers, name, each.predict_features)
        for name, kind in of_logits.items():
            one = kind(None)
            judge(bed, answers, name, lambda features, one=one: one.predict_features(layer(features)))
    np.savez(sys.argv[2], **answers)


def judge(bed: Any, answers: dict[str, Any], name: str, predict: Any) -> None:
    sets = {what: torch.from_numpy(bed[what]).float() for what in bed.files if what not in KNOWN}
    for what, features in sets.items():
        answers[f"{name}|{what}"] = np.asarray(predict(features), np.float64)
    one = next(iter(sets.values()))[:1]
    answers[f"{name}|µs"] = min(timeit.repeat(lambda: predict(one), number=5, repeat=10)) / 5 * 1e6


if __name__ == "__main__":
    main()
