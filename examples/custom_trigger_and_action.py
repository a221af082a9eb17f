"""Write a trigger and an action of your own: functions, no base class.

The classifier sees the square in the middle of a picture. Where it is unsure and the picture is sharp, the action
looks to the left and to the right of it, too, and streams what it sees to whoever follows the outcomes.

    python examples/custom_trigger_and_action.py            # city traffic
    python examples/custom_trigger_and_action.py my.mp4     # your video, wider than high
"""

import sys
from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
import cv2

import aiohooks as ah
from aiohooks.demo.assets import BIKES_VIDEO
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar

SHARP_ABOVE = 100


async def is_sharp(frame: ah.Frame, _prediction: ah.Prediction) -> float:
    """Trigger on sharp pictures. A trigger that returns a float fires above 0.5."""

    def measure() -> float:
        grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        return float(cv2.Laplacian(grey, cv2.CV_64F).var())

    variance = await anyio.to_thread.run_sync(measure)  # what computes for long belongs in a worker thread
    return variance / (variance + SHARP_ABOVE)


async def follow(outcomes: ah.Outcomes) -> None:
    """Say what comes back from the action."""
    async for outcome in outcomes:
        where = f"  frame {outcome.frame_index}:"
        if outcome.kind is ah.OutcomeKind.YIELDED:
            print(where, outcome.value)
        elif outcome.error is not None:
            print(where, outcome.error)


async def main(path: str | None) -> None:
    with progress_bar() as progress:
        model = await classifier(progress)
        video = path or (await fetch([BIKES_VIDEO], progress=progress))[0]

    # The action infers with a deployment of its own, which has no hooks and closes last.
    sides, deployment = ah.Deployment.load(model), ah.Deployment.load(model)

    async def look_aside(event: ah.HookEvent) -> AsyncIterator[str]:
        """Infer what is left and right of the middle. What an action yields comes back while it runs."""
        scores = ", ".join(f"{name} {score:.2f}" for name, score in event.scores.items())
        yield f"{event.prediction.label_names[0]}? ({scores})"
        image, side = event.frame.image, event.frame.height
        for where, part in (("left", image[:, :side]), ("right", image[:, -side:])):
            seen = await sides.infer(part)
            yield f"{where}: {seen.label_names[0]} {seen.scores[0]:.0%}"

    hook = deployment.add_hook(
        ah.PostInferenceHook(trigger=ah.ConfidenceTrigger(0.2) & is_sharp, action=look_aside, max_concurrency=1)
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, deployment.outcomes())
        async with sides, deployment, deployment.stream(ah.video(video, stride=10)) as results:
            async for result in results:
                if not result.ok:
                    print(result.error)

    print(f"{hook.name}: {hook.counts}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
