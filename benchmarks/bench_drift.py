"""How soon a drift monitor sees what moved, and what it costs: ours, k-means with PSI and JSD, alibi-detect, evidently, frouros, river.

Digits, with 128 features of a network of our own: a reference of 800, windows drawn from others, clean, blurred, dark, and with a quarter of these. Power is
the share of drifted windows found at 5 % false alarms. PSI and JSD get thresholds that hold this on clean windows, which users of fixed cut-offs do
not have. The other packages run in an environment of their own, where ``DRIFT_PEERS_PYTHON`` is its interpreter; else they are left out.
"""

import asyncio
import json
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import drift_bed
import numpy as np
import options
import tables
from drift_bed import Array, Bed, Seen

from aiohooks.monitors.drift import DriftBaseline, DriftMonitor, DriftRule, EventArrays
from aiohooks.monitors.drift.cluster_shift import jensen_shannon, population_stability

SIZES = (5, 10, 20, 50, 100, 200, 400)
PEER_SIZES = (20, 50, 100)
REFERENCE = 800
RATE, POWER = 0.05, 0.8
MONDAY = 1_700_438_400
DAY = 86_400
Detector = Callable[[Seen], float]
"""Returns how drifted a window is: from `threshold` on, it is."""


async def main() -> None:
    given = options.parse(__doc__)
    bed = await drift_bed.digits()
    rows: list[dict[str, Any]] = []
    trials = 100 if given.quick else 400
    rows += await anyio.to_thread.run_sync(power, bed, trials)
    rows.append(await anyio.to_thread.run_sync(false_alarms, bed, 5 if given.quick else 20))
    rows += await anyio.to_thread.run_sync(delays, bed, 20 if given.quick else 100)
    rows += await anyio.to_thread.run_sync(peers, bed, 3 if given.quick else 10)
    rows.append(await anyio.to_thread.run_sync(cost, bed))
    rows.append(await replays(bed, 3 if given.quick else 20))
    tables.save("drift", given.json, rows)


def fitted(seen: Seen, seed: int = 0, windows: int = 2000) -> DriftBaseline:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return DriftBaseline.fit_arrays(
            seen.features, seen.probabilities, {"brightness": seen.brightness}, windows=windows, seed=seed
        )


def arrays(seen: Seen) -> EventArrays:
    return EventArrays.of(seen.features, seen.probabilities, {"brightness": seen.brightness})


def parts(bed: Bed, seed: int) -> tuple[Array, Array]:
    """Return which pictures are the reference, and which the stream."""
    order = np.random.default_rng(seed).permutation(len(bed.clean))
    return order[:REFERENCE], order[REFERENCE:]


def window(bed: Bed, kind: str, rows: Array, size: int, rng: np.random.Generator) -> Seen:
    """Draw a window: clean, blurred, dark, or clean with a quarter of either."""
    which = rng.choice(rows, size, replace=False)
    name, _, some = kind.partition(" ")
    changed: Seen = getattr(bed, name)
    if not some:
        return changed.take(which)
    few = max(1, size // 4)
    one, other = changed.take(which[:few]), bed.clean.take(which[few:])
    return Seen(
        *(
            np.concatenate([getattr(one, each), getattr(other, each)])
            for each in ("features", "probabilities", "brightness")
        )
    )


KINDS = ("blurred", "dark", "blurred ¼", "dark ¼")


def power(bed: Bed, trials: int) -> list[dict[str, Any]]:
    """Print the smallest windows with enough power at 5 % false alarms."""
    reference, stream = parts(bed, 0)
    baseline = fitted(bed.clean.take(reference))

    def ours(seen: Seen) -> float:
        decision = baseline.decide(baseline.summarise(baseline.project(arrays(seen))))
        return 1 - (decision.p_value if decision.p_value is not None else 1.0)

    detectors: dict[str, tuple[Detector, bool]] = {"ours": (ours, False)}
    for clusters in (5, 20):
        centres = k_means(bed.clean.take(reference).features, clusters)
        usual = counts_of(bed.clean.take(reference).features, centres)
        for name, distance in (("PSI", population_stability), ("JSD", jensen_shannon)):
            detectors[f"k-means {clusters}, {name}"] = (
                lambda seen, centres=centres, usual=usual, distance=distance: float(
                    distance(counts_of(seen.features, centres)[None], usual[None])[0]
                ),  # type: ignore[misc]
                True,
            )
    rows = []
    print(
        f"\nsmallest window with a power of {POWER:g} at {RATE:.0%} false alarms; last, the largest share of false alarms on clean windows of up to a quarter of the reference"
    )
    print(f"{'':<18}" + "".join(f"{kind:>12}" for kind in KINDS) + f"{'false':>10}")
    for name, (detect, is_calibrated) in detectors.items():
        rng = np.random.default_rng(1)
        found: dict[str, dict[int, float]] = {kind: {} for kind in ("clean", *KINDS)}
        for size in SIZES:
            clean = np.array([detect(window(bed, "clean", stream, size, rng)) for _ in range(trials)])
            threshold = 1 - RATE
            if is_calibrated:
                threshold = (
                    float(
                        np.quantile([detect(window(bed, "clean", stream, size, rng)) for _ in range(trials)], 1 - RATE)
                    )
                    + 1e-9
                )
            found["clean"][size] = float((clean >= threshold).mean())
            for kind in KINDS:
                values = np.array([detect(window(bed, kind, stream, size, rng)) for _ in range(trials)])
                found[kind][size] = float((values >= threshold).mean())
        smallest = {kind: next((size for size in SIZES if found[kind][size] >= POWER), None) for kind in KINDS}
        worst = max(share for size, share in found["clean"].items() if size <= REFERENCE // 4)
        print(
            f"{name:<18}" + "".join(f"{smallest[kind] or f'> {SIZES[-1]}':>12}" for kind in KINDS) + f"{worst:>10.1%}",
            flush=True,
        )
        rows.append({"what": "power", "monitor": name, "smallest": smallest, "found": found})
    return rows


def false_alarms(bed: Bed, splits: int) -> dict[str, Any]:
    """Print false alarms on clean windows, over re-splits of reference and stream."""
    sizes = [size for size in SIZES if size <= REFERENCE // 4]
    found = {size: [] for size in sizes}  # type: dict[int, list[float]]
    for seed in range(splits):
        reference, stream = parts(bed, seed)
        baseline = fitted(bed.clean.take(reference), seed, windows=1000)
        rng = np.random.default_rng(seed)
        for size in sizes:
            summaries = [
                baseline.summarise(baseline.project(arrays(window(bed, "clean", stream, size, rng))))
                for _ in range(100)
            ]
            found[size].append(float(np.mean([baseline.decide(each).drifted(RATE) for each in summaries])))
    told = ", ".join(f"{size}: {np.mean(shares):.1%}" for size, shares in found.items())
    print(f"\nfalse alarms on clean windows at {RATE:.0%}, mean over {splits} splits, by size: {told}", flush=True)
    return {"what": "false alarms", "found": found}


def delays(bed: Bed, trials: int) -> list[dict[str, Any]]:
    """Print after how many events the alarm sounds that looks at each of them."""
    reference, stream = parts(bed, 0)
    baseline = fitted(bed.clean.take(reference))
    rng = np.random.default_rng(2)
    rows = []
    print("\nthe alarm that looks at every event: median delay, and false alarms in 1,000 events before")
    for kind in ("blurred", "dark"):
        changed: Seen = getattr(bed, kind)
        found, false = [], 0
        for _ in range(trials):
            alarm = baseline.stream_alarm()
            before = baseline.project(arrays(bed.clean.take(rng.choice(stream, 1000))))
            false += len(alarm.update(baseline.alarm_vectors(before)))
            after = baseline.project(arrays(changed.take(rng.choice(stream, 400))))
            sounded = alarm.update(baseline.alarm_vectors(after))
            found.append(int(sounded[0]) + 1 if len(sounded) else 401)
        print(f"  ours, {kind}: {np.median(found):.0f}, {false / trials:.2f}", flush=True)
        rows.append(
            {"what": "delay", "monitor": "ours", "kind": kind, "delays": found, "false_per_1000": false / trials}
        )
    return rows


def peers(bed: Bed, trials: int) -> list[dict[str, Any]]:
    """Print what other packages find."""
    python = os.environ.get("DRIFT_PEERS_PYTHON")
    if not python:
        print("\nother packages are left out: DRIFT_PEERS_PYTHON names no interpreter that has them")
        return []
    reference, stream = parts(bed, 0)
    with tempfile.TemporaryDirectory() as folder:
        sets = {kind: getattr(bed, kind).features[stream] for kind in ("clean", "blurred", "dark")}
        np.savez(
            Path(folder) / "bed.npz", reference=bed.clean.features[reference], sizes=PEER_SIZES, trials=trials, **sets
        )
        answers = Path(folder) / "answers.json"
        subprocess.run(
            [python, Path(__file__).with_name("drift_peers.py"), Path(folder) / "bed.npz", answers], check=True
        )
        told = json.loads(answers.read_text())
    print(
        f"\nother packages, share of windows found drifted, {trials} of each; windows of {', '.join(map(str, PEER_SIZES))}"
    )
    for name, one in told["windows"].items():
        cells = "   ".join(
            f"{kind} " + " ".join(f"{one['found'][f'{kind} {size}']:.2f}" for size in PEER_SIZES)
            for kind in ("clean", "blurred", "dark")
        )
        print(f"  {name:<20}{cells}   {one['ms']:.1f} ms a call")
    for kind, one in told["streams"].items():
        print(
            f"  river ADWIN, {kind}: median delay {one['median delay']:.0f} of 200, {one['false per 1,000']:.2f} false alarms in 1,000"
        )
    return [{"what": "peers", **told}]


def cost(bed: Bed) -> dict[str, Any]:
    """Print what an event and a decision cost, and what a million events take as windows of an hour and of a minute at 30 a second."""
    reference, stream = parts(bed, 0)
    baseline = fitted(bed.clean.take(reference))
    events = arrays(bed.clean.take(stream[:64]))
    for _ in range(3):
        baseline.summarise(baseline.project(events))
    began = time.perf_counter()
    for _ in range(100):
        summary = baseline.summarise(baseline.project(events))
    event_us = (time.perf_counter() - began) / 6400 * 1e6
    began = time.perf_counter()
    for _ in range(100):
        baseline.decide(summary)
    decision_us = (time.perf_counter() - began) / 100 * 1e6
    rng = np.random.default_rng(3)
    minute = baseline.summarise(baseline.project(arrays(bed.clean.take(rng.choice(stream, 1800)))))
    nbytes = len(minute.to_bytes())
    megabytes = nbytes / 1e6 * (1e6 / 1800)
    print(
        f"\nours: {event_us:.1f} µs an event in the worker thread (in batches of 64), {decision_us:.0f} µs a decision, "
        f"{nbytes:,} bytes a window, {megabytes:.1f} MB a million events at 30 a second by the minute",
        flush=True,
    )
    return {
        "what": "cost",
        "event_us": event_us,
        "decision_us": decision_us,
        "window_bytes": nbytes,
        "mb_per_million": megabytes,
    }


async def replays(bed: Bed, seeds: int) -> dict[str, Any]:
    """Print in how many replays of three weeks the second and the third alert, and the first does not."""
    good, weeks = 0, []
    rule = DriftRule(name="days", bin="day", critical="auto", critical_rate=0.001, repeat_every=DAY)
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(bed.clean))
        half = len(order) // 2
        baseline = await anyio.to_thread.run_sync(fitted, bed.clean.take(order[:half]), seed, 1000)
        rng = np.random.default_rng(seed)
        alerts = [0, 0, 0]
        with tempfile.TemporaryDirectory() as folder:
            monitor = DriftMonitor(
                baseline,
                Path(folder) / "drift.db",
                rules=[rule],
                actions=[],
                examples=False,
                clock=lambda: MONDAY + 28.0 * DAY,
            )
            async with monitor:
                for week, seen in enumerate((bed.clean, bed.blurred, bed.dark)):
                    for day in range(6):
                        chosen = seen.take(rng.choice(order[half:], 1000, replace=False))
                        times = MONDAY + (7 * week + day) * DAY + np.sort(rng.uniform(0, DAY, 1000))
                        await monitor.publish(
                            {
                                "features": chosen.features,
                                "probabilities": chosen.probabilities,
                                "brightness": chosen.brightness,
                            },
                            timestamps=times,
                        )
                for alert in await monitor.evaluate():
                    if alert.kind == "critical":
                        alerts[(alert.start - MONDAY) // (7 * DAY)] += 1
        good += alerts[0] == 0 and min(alerts[1:]) > 0
        weeks.append(alerts)
    print(
        f"\nthree weeks of six days, original, blurred, dark: the right weeks alert in {good} of {seeds} seeds; alerts {weeks}",
        flush=True,
    )
    return {"what": "replays", "good": good, "seeds": seeds, "alerts": weeks}


def k_means(rows: Array, clusters: int) -> Array:
    from aiohooks.monitors.drift.clusters import k_means as centres_of

    return centres_of(np.asarray(rows, np.float64), clusters, np.random.default_rng(0))


def counts_of(rows: Array, centres: Array) -> Array:
    from aiohooks.monitors.drift.clusters import nearest

    return np.bincount(nearest(np.asarray(rows, np.float64), centres), minlength=len(centres))


if __name__ == "__main__":
    asyncio.run(main())
