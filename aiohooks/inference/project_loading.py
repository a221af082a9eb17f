"""From a Geti project to what runs it: one model, or a chain of them."""

import dataclasses
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import msgspec

from aiohooks.errors import LoadError
from aiohooks.inference.chain import Chain, Step
from aiohooks.inference.geti_folder import GLOBAL_TASKS, GetiProject, GetiTask
from aiohooks.inference.geti_geometry import as_in_geti
from aiohooks.inference.loaded_model import LoadedModel
from aiohooks.inference.model import Model, load_in_thread
from aiohooks.prediction import Task

if TYPE_CHECKING:
    from aiohooks.inference.features import Features

_FRACTIONAL_TASKS = frozenset({Task.ROTATED_DETECTION, Task.KEYPOINT_DETECTION})
"""Tasks whose shapes lie between pixels."""


async def open_project(
    project: GetiProject,
    *,
    parameters: Mapping[str, Any] | None = None,
    frame_size: tuple[int, int] | None = None,
    features: "Features" = "auto",
    **options: Any,
) -> Model | Chain:
    """Load the models of a project in worker threads and return them ready to infer.

    Args:
        project: as read from its folder.
        parameters: Model API parameters; of a project of several tasks, a mapping of them for each title.
        frame_size: height and width of all pictures to come, if they are known.
        features: see `load_model`; of the first task, whose feature vector predictions have.
        options: see `load_model`.

    Raises:
        LoadError: a model cannot be loaded.
    """
    given = _by_task(project, parameters or {})
    steps: list[Step] = []
    async with AsyncExitStack() as opened:
        for task in project.tasks:
            loaded = await load_in_thread(
                task.model_file,
                labels=task.labels,
                task_type=task.task_type,
                name=task.title,
                parameters={**task.parameters, **given[task.title]},
                frame_size=None if steps else frame_size,  # crops have any size
                features="auto" if steps else features,
                **options,
            )
            model = Model(_of_project(loaded, project, task))
            opened.push_async_callback(model.aclose)
            steps.append(Step(model, task.task_type in GLOBAL_TASKS))
        opened.pop_all()
    return steps[0].model if len(steps) == 1 else Chain(project.name, steps)


def _of_project(loaded: LoadedModel, project: GetiProject, task: GetiTask) -> LoadedModel:
    description = msgspec.structs.replace(loaded.description, project=project.name, trained=task.model)
    loaded = dataclasses.replace(loaded, description=description)
    return loaded.then(as_in_geti) if loaded.task in _FRACTIONAL_TASKS else loaded


def _by_task(project: GetiProject, parameters: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    titles = [task.title for task in project.tasks]
    if len(titles) == 1:
        return {titles[0]: parameters}
    if not parameters.keys() <= set(titles) or not all(isinstance(own, Mapping) for own in parameters.values()):
        example = f"parameters={{{titles[0]!r}: {{'confidence_threshold': 0.4}}}}"
        raise LoadError(
            f"{project.folder}: this project has several tasks ({', '.join(titles)}), and parameters are of one: pass {example}"
        )
    return {title: parameters.get(title, {}) for title in titles}
