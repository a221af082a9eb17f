"""Collect frames for the next training in Intel Geti, while a video is inferred, with hooks that are saved and reloaded.

    GETI_HOST=https://… GETI_TOKEN=… GETI_PROJECT="my project" python examples/collect_to_geti.py my.mp4

The frames that the model is unsure of go to the dataset ``from the street`` of that project, at most two a second. GETI_TOKEN is a
personal access token, made in Geti in the menu of your user; GETI_HTTPS_PROXY may be set too. Without a server
the same frames are kept in the folder ``unsure_frames``. The model is a classifier of everyday things, or the one that MODEL names.
"""

import os
import sys
from pathlib import Path

import anyio

import aiohooks as ah
from aiohooks.demo.assets import BIKES_VIDEO
from aiohooks.demo.efficientnet_lite0 import classifier
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar

DATASET = "from the street"
SAVED_HOOKS = Path("collect_to_geti.json")


def hook_for(action: ah.Action) -> ah.PostInferenceHook:
    return ah.PostInferenceHook(
        name="unsure",
        trigger=ah.ConfidenceTrigger(0.5),
        action=action,
        rate=ah.Rate(2, per=1.0),
        # Uploads take their time: five run at once, and a hundred may wait before inference does.
        max_concurrency=5,
        max_pending=100,
    )


async def action_for_server() -> ah.Action | None:
    """Return the action that uploads to the server that the environment names, after a word with it; else None."""
    missing = [name for name in ("GETI_HOST", "GETI_TOKEN", "GETI_PROJECT") if not os.environ.get(name)]
    if missing:
        print(f"no Geti server: set {', '.join(missing)} to collect there")
        return None
    async with ah.GetiClient.from_environment() as geti:
        info = await geti.product_info()
        project = await geti.project(os.environ["GETI_PROJECT"])
        print(f"{geti}: Geti {info.product_version}, project {project.name} with {len(project.labels)} labels")
    # The hook makes the dataset if it is missing. The token is not in it: it names the environment variable, GETI_TOKEN.
    return ah.GetiDataCollection(project.id, dataset=DATASET, log_level="info")


async def follow(outcomes: ah.Outcomes) -> None:
    """Say what the hooks do, while they do it; ends when the deployment has closed."""
    async for outcome in outcomes:
        if outcome.kind is ah.OutcomeKind.DONE:
            value = outcome.value
            where = value.image if isinstance(value, ah.StoredFiles) else f"{value.dataset}/{value.name}"
            print(f"  {outcome.hook}: collected frame {outcome.frame_index} as {where}")
        elif outcome.error is not None:
            print(f"  {outcome.hook}: frame {outcome.frame_index} failed: {outcome.error}")


async def main(path: str | None) -> None:
    with progress_bar() as progress:
        model = os.environ.get("MODEL") or await classifier(progress)
        video = path or (await fetch([BIKES_VIDEO], progress=progress))[0]

    action = await action_for_server() or ah.FileSystemDataCollection("unsure_frames")
    ah.save_hooks(SAVED_HOOKS, [hook_for(action)])

    # Here another program may begin, or the same one tomorrow: loading hooks asks no server anything.
    deployment = ah.Deployment.load(model)
    hooks = [deployment.add_hook(hook) for hook in ah.load_hooks(SAVED_HOOKS)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, deployment.outcomes())
        async with deployment, deployment.stream(ah.video(video)) as results:
            async for result in results:
                if not result.ok:
                    print(result.error)

    for hook in hooks:
        counts = hook.counts
        print(f"{hook.name}: fired {counts.fired}×, collected {counts.done}, over its rate {counts.rate_limited}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
