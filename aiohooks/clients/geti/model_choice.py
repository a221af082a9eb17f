"""Which of a project's models to deploy."""

from collections.abc import Iterable, Sequence

from aiohooks.clients.geti.answers import ModelGroup, ModelSummary, OptimizedModel, Task, TrainedModel, moment

PREFERRED = ("NNCF", "POT", "MO")
"""Types of optimisation that OpenVINO runs, the quickest models first, in the order of geti-sdk."""

_UNUSABLE = frozenset({"NOT_READY", "WEIGHTS_INITIALIZED", "FAILED"})


def trained_for(
    task: Task, tasks: Sequence[Task], groups: Iterable[ModelGroup]
) -> tuple[ModelGroup, ModelSummary] | None:
    """Return the model that a task predicts with: the active one, else the latest; None if none is trained.

    Args:
        task: one of the tasks.
        tasks: those of the project that have a model.
        groups: all groups of models of the project.
    """
    only_one = len(tasks) == 1
    candidates = [
        (group, model)
        for group in groups
        if group.task_id == task.id or (only_one and group.task_id is None)
        for model in group.models
        if model.is_there
    ]
    return max(candidates, key=lambda one: (bool(one[1].active_model), moment(one[1].creation_date)), default=None)


def optimized(
    model: TrainedModel, *, xai: bool = False, optimization: str | None = None, precision: str | None = None
) -> OptimizedModel:
    """Return the form of a model to deploy; of several that fit, the latest.

    Args:
        model: a trained model.
        xai: it must explain its predictions; otherwise one that does is taken only if there is no other.
        optimization: ``NNCF``, ``POT``, ``MO`` or ``ONNX``; by default the first of the first three that there is.
        precision: ``FP32``, ``FP16`` or ``INT8``; by default any.

    Raises:
        LookupError: there is none; the message says what there is.
    """
    usable = [
        one
        for one in model.optimized_models
        if one.model_status not in _UNUSABLE and not (one.purge_info and one.purge_info.is_purged)
    ]
    wanted = PREFERRED if optimization is None else (optimization.upper(),)
    fitting = [
        one
        for one in usable
        if one.optimization_type.upper() in wanted
        and (one.has_xai_head or not xai)
        and (precision is None or precision.upper() in _precisions(one))
    ]
    if fitting:
        return min(
            sorted(fitting, key=lambda one: moment(one.creation_date), reverse=True),
            key=lambda one: (bool(one.has_xai_head) is not xai, wanted.index(one.optimization_type.upper())),
        )
    asked = [optimization or "optimised", *([precision] if precision else []), *(["with an XAI head"] if xai else [])]
    there = ", ".join(map(_described, usable)) or "none at all"
    raise LookupError(f"the model {model.name or model.id} has no form that is {' '.join(asked)}; it has: {there}")


def _precisions(model: OptimizedModel) -> set[str]:
    return {*(one.upper() for one in model.precision or ()), *model.name.upper().split()}


def _described(model: OptimizedModel) -> str:
    precision = " ".join(model.precision or ())
    return " ".join(filter(None, [model.optimization_type, precision, "with XAI head" if model.has_xai_head else ""]))
