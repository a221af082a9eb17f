"""Several models as one, fitted on what they keep."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiohooks.errors import SpecError
from aiohooks.inference.last_layer import LastLayer
from aiohooks.monitors.ood.fitted import Fitted, Kept, Pictures


def combined(parts: Sequence[Fitted], facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the arguments of `OODModel.fit_arrays` for a model of several.

    Args:
        parts: of the models.
        facts: of the models.

    Raises:
        SpecError: see `OODModel.combine`.
    """
    if not parts:
        raise SpecError("models: at least one is needed")
    for number in range(1, len(parts)):
        _check_alike(number, parts[number], facts[number], parts[0], facts[0])
    kept = [part.kept for part in parts]
    strange = [each.strange for each in kept if each.strange is not None]
    labels, class_names = _same_classes(
        [(fact.get("class_names"), each.labels) for fact, each in zip(facts, kept, strict=True)]
    )
    names = None
    if any(fact["names"] is not None for fact in facts):
        names = [name for fact, each in zip(facts, kept, strict=True) for name in _names(fact["names"], each)]
    sizes = [fact["max_bank"] for fact in facts]
    features, logits = _joined([each.training for each in kept])
    return {
        "features": features,
        "logits": logits,
        "labels": labels,
        "calibration": _once([each.calibration for each in kept]),
        "out_of_distribution": _joined(strange) if strange else None,
        "last_layer": parts[0].last_layer,
        "scores": facts[0]["scores"],
        "names": names,
        "class_names": class_names,
        "max_bank": None if None in sizes else max((size for size in sizes if size != "auto"), default="auto"),
        "seed": facts[0]["seed"],
    }


def _check_alike(
    number: int, one: Fitted, facts: Mapping[str, Any], first: Fitted, facts_of_first: Mapping[str, Any]
) -> None:
    pictures, of_first = one.kept.training, first.kept.training
    for what, found, wanted in (
        ("features", pictures.features.shape[1], of_first.features.shape[1]),
        ("classes", _classes(pictures), _classes(of_first)),
        ("measures asked for", facts["scores"], facts_of_first["scores"]),
        ("last layer", _layer_bytes(one.last_layer), _layer_bytes(first.last_layer)),
    ):
        if found != wanted:
            shown = "" if isinstance(found, bytes) else f": {found!r}, and {wanted!r} of the first"
            raise SpecError(f"models[{number}]: it has other {what}{shown}; only models of one network combine")


def _classes(pictures: Pictures) -> int | None:
    return None if pictures.logits is None else pictures.logits.shape[1]


def _same_classes(
    given: list[tuple[list[str] | None, NDArray[np.int64]]],
) -> tuple[NDArray[np.int64], list[str] | None]:
    """Return labels of several models as numbers of the same classes, and the names of these."""
    without = [number for number, (names, _) in enumerate(given) if names is None]
    if len(without) == len(given):
        return np.concatenate([labels for _, labels in given]), None
    if without:
        raise SpecError(
            f"models[{without[0]}]: it has no names of classes, and others have: a class of theirs may be any of its classes; fit all with "
            "class_of, or with class_names, or all without"
        )
    known: dict[str, int] = {}
    numbered = [
        np.array([known.setdefault(name, len(known)) for name in names or ()], np.int64)[labels]
        for names, labels in given
    ]
    return np.concatenate(numbered), list(known)


def _once(calibration: list[Pictures]) -> tuple[ArrayLike, ArrayLike | None]:
    """Return the calibration pictures of several models; what several were calibrated on comes once."""
    seen: set[bytes] = set()
    parts: list[NDArray[np.bool_]] = []
    for part in calibration:
        rows = [row.tobytes() for row in part.features]
        parts.append(np.array([row not in seen for row in rows], np.bool_))
        seen.update(rows)
    is_new = np.concatenate(parts)
    features, logits = _joined(calibration)
    return features[is_new], None if logits is None else logits[is_new]


def _joined(pictures: list[Pictures]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    logits = [each.logits for each in pictures if each.logits is not None]
    return np.concatenate([each.features for each in pictures]), np.concatenate(logits) if logits else None


def _names(names: list[str] | None, kept: Kept) -> list[str]:
    return [""] * len(kept.index) if names is None else [names[number] for number in kept.index.tolist()]


def _layer_bytes(layer: LastLayer | None) -> bytes:
    return b"" if layer is None else np.asarray(layer.weights).tobytes() + np.asarray(layer.bias).tobytes()
