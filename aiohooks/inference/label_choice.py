"""Which labels a model gets: those of its metadata, those of the user, and how many it has room for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from model_api.models import AnomalyDetection, ClassificationModel

from aiohooks.annotation import Label
from aiohooks.errors import LoadError
from aiohooks.inference import model_types
from aiohooks.inference.labels import BACKGROUND, LabelTable, color, combined, listed, metadata_labels, unnamed


def label_table(
    cls: type[Any], count: int | None, info: Mapping[str, str], given: tuple[Label, ...] | None
) -> LabelTable:
    """Return the label table of a model.

    Args:
        cls: its wrapper.
        count: how many labels its outputs have room for; None if that is not known.
        info: its metadata.
        given: what the user passed as labels.

    Raises:
        LoadError: there are too few or too many labels; the message has both numbers.
    """
    known = metadata_labels(info)
    first = 1 if model_types.counts_from_one(cls) else 0
    if first and model_types.wants_background(cls) and known:
        if known[0].name == BACKGROUND:
            known = known[1:]
        else:
            first = 0  # its own label for nothing comes first
    if issubclass(cls, AnomalyDetection):
        return _normal_and_anomalous(known, given)
    if given is None:
        if count is not None and not known:
            known = unnamed(count)
        if issubclass(cls, ClassificationModel) and len(known) + 1 == count:
            known = (Label(name="other", color=color(len(known))), *known)  # as Model API does
        table = LabelTable(known)
    else:
        has_ids = all(label.id for label in given)
        table = combined(known if count is None or has_ids else (), given)
    found = len(table.labels)
    if count is not None and (found < count or (found > count and given is not None)):
        whose = "are in its metadata" if given is None else "were given"
        raise LoadError(
            f"labels: the model tells {count} classes apart, but {found} labels {whose} ({listed(table.labels)})"
        )
    return replace(table, first=first)


def wrapper_labels(cls: type[Any], table: LabelTable, info: Mapping[str, str]) -> list[str] | None:
    """Return the labels to pass to the wrapper; None if those of the metadata fit.

    It only counts them and looks for them in a label tree: what people read comes from the table.
    """
    background = [BACKGROUND] if table.first and model_types.wants_background(cls) else []
    if not table.labels or len(info.get("labels", "").split()) == len(background) + len(table.labels):
        return None
    return background + [label.name for label in table.labels]


def _normal_and_anomalous(known: tuple[Label, ...], given: tuple[Label, ...] | None) -> LabelTable:
    labels = (
        given
        if given is not None
        else known or (Label(name="Normal", color=color(0)), Label(name="Anomaly", color=color(1)))
    )
    if len(labels) != 2:
        raise LoadError(
            f"labels: an anomaly model has 2, normal and anomalous; there are {len(labels)} ({listed(labels)})"
        )
    if labels[0].is_anomalous and not labels[1].is_anomalous:
        labels = labels[::-1]  # a project lists them in any order
    normal, anomalous = labels
    return LabelTable((normal, msgspec.structs.replace(anomalous, is_anomalous=True)))
