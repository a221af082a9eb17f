"""Which of a project's models is deployed, and what the server says in its answers."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.clients.geti.answers import (
    ModelGroup,
    ModelSummary,
    OptimizedModel,
    Organizations,
    Picture,
    Project,
    PurgeInfo,
    Task,
    TrainedModel,
    decode,
    default_organization,
    moment,
)
from aiohooks.clients.geti.model_choice import optimized, trained_for

ONE, OTHER = Task("1", "Detect", "detection"), Task("2", "Classify", "classification")
XAI = {"has_xai_head": True}


def form(id_: str, kind: str = "MO", precision: str = "FP16", **fields: Any) -> OptimizedModel:
    return OptimizedModel(id_, f"Net {precision}", optimization_type=kind, precision=(precision,), **fields)


def chosen(*forms: OptimizedModel, **wanted: Any) -> str:
    return optimized(TrainedModel("m", "Net", optimized_models=forms), **wanted).id


def test_the_quickest_kind_is_taken_and_with_an_explanation_only_if_asked() -> None:
    forms = [
        form("mo"),
        form("mo xai", **XAI),
        form("pot", "POT", "INT8"),
        form("pot xai", "POT", "INT8", **XAI),
        form("onnx", "ONNX"),
    ]
    assert chosen(*forms) == "pot"
    assert chosen(*forms, xai=True) == "pot xai"
    assert chosen(*forms, form("nncf", "NNCF")) == "nncf"
    assert chosen(*forms, optimization="mo") == "mo"
    assert chosen(*forms, optimization="onnx") == "onnx"
    assert chosen(*forms, precision="fp16", xai=True) == "mo xai"


def test_one_that_explains_is_better_than_none_but_not_the_other_way_round() -> None:
    assert chosen(form("xai", **XAI), form("onnx", "ONNX")) == "xai"
    with pytest.raises(
        LookupError, match="Net has no form that is optimised with an XAI head; it has: MO FP16, ONNX FP16"
    ):
        chosen(form("mo"), form("onnx", "ONNX"), xai=True)


def test_what_is_not_there_is_not_taken() -> None:
    gone = form("gone", "NNCF", purge_info=PurgeInfo(is_purged=True))
    unready = form("unready", "NNCF", model_status="NOT_READY")
    assert chosen(gone, unready, form("mo", model_status="SUCCESS")) == "mo"
    with pytest.raises(LookupError, match="has no form that is MO INT8; it has: none at all"):
        chosen(gone, optimization="MO", precision="INT8")


def test_of_several_that_fit_the_latest_is_taken() -> None:
    dates = ["2025-01-01T00:00:00+00:00", "2025-01-02T00:00:00+09:00", "2025-01-01T23:00:00Z", None, "never"]
    assert chosen(*(form(str(i), creation_date=date) for i, date in enumerate(dates))) == "2"
    assert chosen(OptimizedModel("named", "Net OpenVINO INT8", optimization_type="MO"), precision="INT8") == "named"


def test_a_task_predicts_with_its_active_model_else_with_the_latest() -> None:
    def group(id_: str, task: str | None, *models: ModelSummary) -> ModelGroup:
        return ModelGroup(id_, task_id=task, models=models)

    old, new = ModelSummary("old", creation_date="2025-01-01"), ModelSummary("new", creation_date="2025-02-01")
    active = ModelSummary("active", creation_date="2024-01-01", active_model=True)
    purged = ModelSummary("purged", creation_date="2026-01-01", active_model=True, purge_info=PurgeInfo(is_purged=True))
    groups = [group("a", "1", old, active), group("b", "1", new, purged), group("c", "2", old), group("d", None, new)]
    both = [ONE, OTHER]
    assert trained_for(ONE, both, groups) == (groups[0], active)
    assert trained_for(ONE, both, groups[1:]) == (groups[1], new)
    assert trained_for(OTHER, both, groups) == (groups[2], old)
    assert trained_for(OTHER, both, groups[3:]) is None
    assert trained_for(OTHER, [OTHER], groups[3:]) == (groups[3], new)


def test_of_several_organisations_the_first_is_the_default() -> None:
    def organisation(data: bytes) -> str | None:
        return default_organization(decode(data, Organizations))

    assert organisation(b'{"organizationId": "a", "more": 1}') == "a"
    assert organisation(
        b'{"organizations": [{"organizationId": "b", "organizationCreatedAt": "2025-01-02T00:00:00Z"},'
        b'{"organizationId": "a", "organizationCreatedAt": "2025-01-01T00:00:00.5Z"}]}'
    ) == "a"  # fmt: skip
    assert organisation(b"{}") is None


def test_times_that_cannot_be_read_are_the_earliest() -> None:
    assert moment(None) == moment("") == moment("yesterday") < moment("0002-01-01T00:00:00Z") < moment("2025-01-01")


def test_what_is_new_in_an_answer_is_ignored_and_what_is_null_is_none() -> None:
    project = decode(
        b'{"id": "p", "name": "n", "pipeline": {"tasks": [{"id": "d", "title": "D", "task_type": "dataset"},'
        b'{"id": "t", "title": "T", "task_type": "classification", "labels": [{"id": "1", "name": "a", "parent_id": null,'
        b'"color": "#118005aff", "hotkey": ""}, {"id": "2", "name": "b", "is_empty": true}]}], "x": []}, "thumbnail": 0}',
        Project,
    )
    assert [task.id for task in project.tasks] == ["t"]
    assert [(label.id, label.name, label.is_empty) for label in project.labels] == [("1", "a", False), ("2", "b", True)]
    picture = decode(
        b'{"id": "i", "media_information": {"width": 3, "height": null}, "annotation_state_per_task": []}', Picture
    )
    assert picture.media_information.width == 3


@given(st.binary(max_size=60))
def test_any_answer_is_decoded_or_refused(data: bytes) -> None:
    for kind in (Project, Picture, Organizations):
        with suppress(ValueError):
            decode(data, kind)
