"""How well OOD models tell what is strange: ours, each of its measures alone, COOD mended and COOD as Geti drafted it, and pytorch-ood.

AUROC and FPR95 (the share of usual pictures that is flagged where 95 % of the strange ones are found, as in OpenOOD, J. Zhang et al.,
arXiv 2306.09301) in per cent, and TPR at 1 % FPR (the share that is found where 1 % of usual ones are flagged), for each kind of strange pictures; then µs to score one frame.
pytorch-ood runs in an environment of its own, where ``OOD_PEERS_PYTHON`` is its interpreter; else it is left out. No pictures of what is
strange are given: COOD learns from training pictures with a rectangle cut out, as in Geti's draft.
"""

import asyncio
import functools
import importlib.util
import os
import subprocess
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path

import numpy as np
import ood_beds
import ood_industrial
import options
import tables
from ood_beds import Array, Bed, Pictures

from aiohooks.monitors.ood import OODModel
from aiohooks.monitors.ood.roc import Roc
from aiohooks.monitors.ood.scores import SCORES

Strangeness = Callable[[Pictures], Array]


async def main() -> None:
    given = options.parse(__doc__)
    beds = [await ood_beds.digits(), await ood_beds.textures()]
    if not given.quick:
        beds += [await ood_industrial.parts(), await ood_industrial.surfaces(), await ood_beds.textures(5000)]
    rows: list[dict[str, object]] = []
    for bed in beds:
        kinds = "".join(f"{kind:>22}" for kind in bed.strange)
        print(
            f"\n{bed.name}: D = {bed.train.features.shape[1]}, AUROC / FPR95 / TPR at 1 % FPR\n{'':<28}{kinds}{'µs':>7}"
        )
        for name, model in contenders(bed).items():
            rows.append(measured(bed, name, model))
        rows += peers(bed)
        if len(bed.train.features) > 2000:
            for bank in (None, 2000, 1000, 500):
                model = fitted(bed, max_bank=bank)
                rows.append(measured(bed, f"ours, bank of {bank or len(bed.train.features):,}", model))
        rows.append(false_alarms(bed, rounds=20))
    tables.save("ood", given.json, rows)


def fitted(bed: Bed, **changes: object) -> OODModel:
    return OODModel.fit_arrays(
        *bed.train.pair,
        bed.labels,
        **{"calibration": bed.calibration.pair, "last_layer": bed.layer} | changes,  # type: ignore[arg-type]
    )


def contenders(bed: Bed) -> dict[str, OODModel | Strangeness]:
    """Return models, or functions from pictures to strangeness, by name."""
    found: dict[str, OODModel | Strangeness] = {"ours": fitted(bed)}
    for name in SCORES:
        if name != "cood":
            found[name] = fitted(bed, scores=[name])
    if importlib.util.find_spec("sklearn") is None:
        print("without COOD, which needs scikit-learn")
    else:
        found["cood, mended"] = fitted(bed, scores=["cood"], out_of_distribution=bed.cut_outs.pair)
        found["cood, as drafted"] = drafted_cood(bed, bed.cut_outs)
    found["ours, with the same"] = fitted(bed, out_of_distribution=bed.cut_outs.pair)
    return found


def drafted_cood(bed: Bed, strange: Pictures, k: int = 10) -> Strangeness:
    """Return COOD with the faults of the draft: training pictures find themselves, the forest alone decides."""
    from sklearn.ensemble import RandomForestClassifier

    bank = bed.train.features / np.linalg.norm(bed.train.features, axis=1, keepdims=True)

    def seven(pictures: Pictures) -> Array:
        rows = pictures.features / np.maximum(np.linalg.norm(pictures.features, axis=1, keepdims=True), 1e-12)
        squares = np.maximum(2 - 2 * rows @ bank.T, 0)
        nearest = np.argsort(squares, axis=1)[:, :k]
        distances = np.sqrt(np.take_along_axis(squares, nearest, axis=1))
        shares = np.stack([(bed.labels[nearest] == label).mean(axis=1) for label in np.unique(bed.labels)], axis=1)
        entropy = -(shares * np.log(np.maximum(shares, 1e-12))).sum(axis=1)
        p = np.exp(pictures.logits - pictures.logits.max(axis=1, keepdims=True))
        mean = distances.mean(axis=1)
        columns = distances[:, -1], distances[:, 0], mean, entropy, mean * entropy, distances[:, 0] * entropy
        return np.column_stack([*columns, p.max(axis=1) / p.sum(axis=1)])

    forest = RandomForestClassifier(random_state=0)
    forest.fit(
        np.concatenate([seven(bed.train), seven(strange)]),
        np.repeat([0, 1], [len(bed.train.features), len(strange.features)]),
    )
    return lambda pictures: forest.predict_proba(seven(pictures))[:, 1]


def measured(bed: Bed, name: str, model: OODModel | Strangeness) -> dict[str, object]:
    """Print and return how well a contender does."""
    strangeness = (lambda pictures: -np.log(model.p_value(*pictures.pair))) if isinstance(model, OODModel) else model
    one = Pictures(bed.test.features[:1], bed.test.logits[:1])
    call = (
        functools.partial(model.score, one.features[0], one.logits[0])
        if isinstance(model, OODModel)
        else functools.partial(model, one)
    )
    us = min(timeit.repeat(call, number=5, repeat=20)) / 5 * 1e6
    return told(bed, name, strangeness(bed.test), {kind: strangeness(one) for kind, one in bed.strange.items()}, us)


def told(bed: Bed, name: str, usual: Array, strange: dict[str, Array], us: float) -> dict[str, object]:
    """Print and return what comes of how strange the pictures are said to be."""
    found: dict[str, tuple[float, float, float]] = {}
    for kind, values in strange.items():
        roc = Roc.of(usual, values)
        found[kind] = (100 * roc.auroc, 100 * roc.fpr95, 100 * roc.found_at(0.01))
    cells = "".join(f"{f'{a:.1f} / {f:.1f} / {t:.1f}':>22}" for a, f, t in found.values())
    print(f"{name:<28}{cells}{us:>7.0f}", flush=True)
    return {"bed": bed.name, "model": name, "found": found, "us": us}


def peers(bed: Bed) -> list[dict[str, object]]:
    """Print and return how well pytorch-ood does."""
    python = os.environ.get("OOD_PEERS_PYTHON")
    if not python:
        print("without pytorch-ood: OOD_PEERS_PYTHON names no interpreter that has it")
        return []
    with tempfile.TemporaryDirectory() as folder:
        given, answers = Path(folder) / "bed.npz", Path(folder) / "answers.npz"
        sets = {kind: pictures.features for kind, pictures in bed.strange.items()}
        np.savez(
            given, train=bed.train.features, labels=bed.labels, weights=bed.layer.weights, bias=bed.layer.bias, usual=bed.test.features, **sets
        )  # fmt: skip
        subprocess.run([python, Path(__file__).with_name("ood_peers.py"), given, answers], check=True)
        with np.load(answers) as found:
            names = [entry.removesuffix("|µs") for entry in found.files if entry.endswith("|µs")]
            return [
                told(
                    bed, f"pytorch-ood {name}", found[f"{name}|usual"], {kind: found[f"{name}|{kind}"] for kind in sets}, float(found[f"{name}|µs"])
                )
                for name in names
            ]  # fmt: skip


def false_alarms(bed: Bed, *, rounds: int) -> dict[str, object]:
    """Print and return the rates of false alarms on fresh pictures, over splits of what was held out."""
    pool = Pictures(
        *(np.concatenate(pair) for pair in zip(bed.calibration.pair, bed.test.pair, strict=True))  # type: ignore[arg-type]
    )
    rates = []
    for seed in range(rounds):
        order = np.random.default_rng(seed).permutation(len(pool.features))
        calibration, fresh = np.split(order, [len(bed.calibration.features)])
        model = fitted(bed, calibration=(pool.features[calibration], pool.logits[calibration]), seed=seed)
        p = model.p_value(pool.features[fresh], pool.logits[fresh])
        rates.append([float((p <= rate).mean()) for rate in (0.05, 0.01)])
    at_five, at_one = np.mean(rates, axis=0)
    print(
        f"false alarms on fresh pictures, mean of {rounds} splits: {at_five:.4f} at 0.05, {at_one:.4f} at 0.01",
        flush=True,
    )
    return {"bed": bed.name, "false_alarms": rates}


if __name__ == "__main__":
    asyncio.run(main())
