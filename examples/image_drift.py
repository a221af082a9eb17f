"""See the world change: three weeks of pictures, of which the second is blurred and the third is dark.

    python examples/image_drift.py            # 18,000 events; some two minutes
    python examples/image_drift.py --quick    # 1,800 events

This is the counterpart of what closed services show in their notebooks: a baseline, then three weeks of six days each with a thousand
events, published with the times at which they were. Pictures are small pieces of eight photographs. What it makes: ``drift.db``, which
holds everything that the monitor knows, and ``drift_report.html``, one page with charts, alerts, a map and pictures of any window.
"""

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import cv2
import numpy as np
from numpy.typing import NDArray

import aiohooks as ah
from aiohooks.demo.assets import PICTURES
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar
from aiohooks.monitors.drift.image_statistics import measure, sample

SIDE = 64
DAY = 86400
Picture = NDArray[np.uint8]


async def main(events_a_day: int) -> None:
    with progress_bar() as progress:
        model = await classifier(progress)
        paths = await fetch(PICTURES, progress=progress)
    rng = np.random.default_rng(0)
    photographs = [read(path) for path in paths]

    async with ah.Deployment.load(model, features=True) as deployment:
        # What is usual is learnt from pictures that the model was not trained with.
        usual = [piece(photographs, rng) for _ in range(max(2 * events_a_day, 600))]
        baseline = await ah.DriftBaseline.fit(deployment, usual, progress=True)
        await anyio.to_thread.run_sync(baseline.save, "baseline.drift")
        print(f"baseline of {baseline.reference.count:,} events, {baseline.width:,} features")

        # The same pictures come again on several days, so that each is inferred once: original, blurred and dark.
        pieces = [piece(photographs, rng) for _ in range(2 * events_a_day)]
        weeks = []
        for what, changed in (
            ("original", pieces),
            ("blurred", [blurred(one, rng) for one in pieces]),
            ("dark", [dark(one, rng) for one in pieces]),
        ):
            results = await deployment.infer_many(changed)
            weeks.append((what, columns(changed, [result.prediction for result in results])))

        remove_database()
        rule = ah.DriftRule(name="days", bin="day", critical="auto", critical_rate=0.001, repeat_every=DAY)
        labels = [label.name for label in deployment.labels]
        monitor = ah.DriftMonitor(
            baseline, "drift.db", rules=[rule], actions=[tell], labels=labels, model_version=deployment.name
        )
        async with monitor:
            for week, (what, known) in enumerate(weeks):
                before = len(await monitor.alerts())
                for day in range(6):
                    start = monday_three_weeks_ago() + (7 * week + day) * DAY
                    chosen = rng.choice(len(pieces), events_a_day, replace=False)
                    await monitor.publish(
                        {name: [column[i] for i in chosen] for name, column in known.items()}
                        | {
                            "timestamp": (1000 * (start + np.sort(rng.uniform(0, DAY, events_a_day)))).astype(np.int64),
                            # Of events, not of pictures, which come again.
                            "id": [f"{week}-{day}-{i}" for i in range(events_a_day)],
                        }
                    )
                await monitor.evaluate()
                print(f"week {week + 1}, {what}: {len(await monitor.alerts()) - before} of 6 days give an alert")

    report = await anyio.to_thread.run_sync(partial(ah.DriftReport.read, "drift.db", bin="day"))
    await anyio.to_thread.run_sync(report.save, "drift_report.html", "Three weeks of pictures")
    print(f"drift_report.html: {len(report.findings.windows)} windows by the {report.findings.length}")
    report.charts["drift"].save("drift.svg")  # in a notebook, `report.charts["drift"]` shows it


async def tell(alert: ah.DriftAlert) -> None:  # noqa: ASYNC124  # actions may wait
    """What is done with an alert: any coroutine, such as a message to whoever is on call."""
    print(f"  {alert.message}")


def columns(pictures: Iterable[Picture], predictions: Iterable[ah.Prediction]) -> dict[str, list[object]]:
    """Return what is published of each picture."""
    numbers = measure([sample(picture) for picture in pictures])
    predictions = list(predictions)
    return {
        "features": [one.feature_vector for one in predictions],
        "probabilities": [one.class_scores for one in predictions],
        "image": [cv2.imencode(".jpg", one[..., ::-1])[1].tobytes() for one in pictures],
        **{name: values.tolist() for name, values in numbers.items()},
    }


def read(path: Path) -> Picture:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), np.uint8)


def piece(photographs: list[Picture], rng: np.random.Generator) -> Picture:
    photograph = photographs[rng.integers(len(photographs))]
    y, x = rng.integers(photograph.shape[0] - 2 * SIDE), rng.integers(photograph.shape[1] - 2 * SIDE)
    return np.asarray(
        cv2.resize(photograph[y : y + 2 * SIDE, x : x + 2 * SIDE], (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8
    )


def blurred(picture: Picture, rng: np.random.Generator) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (3, 3), rng.uniform(0.1, 2.0)), np.uint8)


def dark(picture: Picture, rng: np.random.Generator) -> Picture:
    return (picture * rng.uniform(0.4, 0.6)).astype(np.uint8)


def remove_database() -> None:
    for file in Path().glob("drift.db*"):
        file.unlink()


def monday_three_weeks_ago() -> int:
    today = int(datetime.now(UTC).timestamp()) // DAY * DAY
    return today - datetime.now(UTC).weekday() * DAY - 21 * DAY


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="with a tenth of the events")
    anyio.run(main, 100 if parser.parse_args().quick else 1000)
