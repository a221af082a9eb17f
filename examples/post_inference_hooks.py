"""Collect frames while a video is inferred: those that the model is unsure of, and those with a label. Save the hooks with the model.

    python examples/post_inference_hooks.py            # city traffic
    python examples/post_inference_hooks.py my.mp4     # your video

Two hooks look at every prediction. What they keep is in the folder ``hook_data``: pictures, predictions, scores and
overlays, as Intel Geti has them. The model and its hooks are then in the folder ``collecting``, which a second part loads again; so does

    aiohooks run collecting my.mp4 --saved-hooks
"""

import sys
from collections import Counter
from pathlib import Path
from time import perf_counter

import anyio

import aiohooks as ah
from aiohooks.demo.assets import BIKES_VIDEO
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar

HOOKS = [
    # Frames to label and train with next are those that the model is unsure of: one a second is plenty.
    ah.PostInferenceHook(
        name="unsure",
        trigger=ah.ConfidenceTrigger(0.3),
        action=ah.FileSystemDataCollection("hook_data/unsure"),
        rate=ah.Rate(1, per=1.0),
    ),
    # Every sure sight of a unicycle, up to ten of them written at once. Nothing is lost: where disks are slow,
    # inference waits as soon as 100 are waiting.
    ah.PostInferenceHook(
        name="unicycles",
        trigger=ah.LabelTrigger(["unicycle"]) & ~ah.ConfidenceTrigger(0.5),
        action=ah.FileSystemDataCollection("hook_data/unicycles", image_format="jpeg", save_scores=False),
        max_concurrency=10,
        max_pending=100,
    ),
]


async def infer_all(deployment: ah.Deployment, frames: ah.FrameSource) -> tuple[int, float]:
    """Return how many frames were inferred, and in how many seconds."""
    count, started = 0, perf_counter()
    async with deployment.stream(frames) as results:
        async for result in results:
            if result.ok:
                count += 1
            else:
                print(f"frame {result.index}: {result.error}")
    return count, perf_counter() - started


async def follow(outcomes: ah.Outcomes) -> None:
    """Say what the hooks do, while they do it; ends when the deployment has closed."""
    kinds: Counter[str] = Counter()
    async for outcome in outcomes:
        kinds[outcome.kind] += 1
        if outcome.kind is ah.OutcomeKind.DONE:
            print(f"  {outcome.hook}: kept frame {outcome.frame_index} as {outcome.value.image}")
        elif outcome.error is not None:
            print(f"  {outcome.hook}: frame {outcome.frame_index} failed: {outcome.error}")
    print("outcomes:", ", ".join(f"{count} {kind}" for kind, count in kinds.items()))


async def main(path: str | Path | None) -> None:
    with progress_bar() as progress:
        model = await classifier(progress)
        path = path or (await fetch([BIKES_VIDEO], progress=progress))[0]
        frames = ah.video(path)

    deployment = ah.Deployment.load(model)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, deployment.outcomes())
        async with deployment:
            await infer_all(deployment, frames)  # the first pass fills caches; the comparison is between the next two
            count, without = await infer_all(deployment, frames)
            hooks = [deployment.add_hook(hook) for hook in HOOKS]
            count, with_hooks = await infer_all(deployment, frames)
            await deployment.save("collecting", overwrite=True)
    # The deployment has closed, after the hooks had finished what they had begun; so all outcomes are known.

    print(f"{count} frames: {without:.1f} s without hooks, {with_hooks:.1f} s with {len(hooks)} hooks")
    for hook in hooks:
        counts = hook.counts
        print(f"  {hook.name}: fired {counts.fired}×, kept {counts.done}, over its rate {counts.rate_limited}")

    # Whoever loads the folder has the hooks too; `hooks=False` leaves them out. geti-sdk would have the first one: it stands in
    # hook_config.json, while it has no words for a combination of triggers.
    async with ah.Deployment.load("collecting") as reloaded:
        await infer_all(reloaded, ah.video(path, end=60))
    for hook in reloaded.hooks:
        print(f"  reloaded {hook.name}: saw {hook.counts.seen} frames, kept {hook.counts.done}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
