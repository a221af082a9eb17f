"""One result as JSON."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from aiohooks.errors import AiohooksError, SpecError
from aiohooks.inference.result import Result
from aiohooks.prediction import Prediction
from aiohooks.server.refusal import refusal_of

Form = Callable[[Prediction], Any]
"""Turns a prediction into what JSON holds."""

FORMS: Mapping[str, Form] = {"geti": Prediction.to_geti, "supervisely": Prediction.to_supervisely}
"""The JSON forms that a client may ask for, by name."""


def form_of(query: Mapping[str, str]) -> Form:
    """Return the form that a request's query asks for, by ``form``; Geti's if it does not.

    Raises:
        SpecError: there is no such form.
    """
    name = query.get("form", "geti")
    try:
        return FORMS[name]
    except KeyError:
        raise SpecError(f"form: there is no {name[:40]!r}; there are: {', '.join(FORMS)}") from None


def prediction_json(prediction: Prediction, form: Form) -> dict[str, Any]:
    """Return a prediction as JSON: ``task``, ``size`` (height and width in pixels), ``prediction``, and ``ood_score`` if it has one."""
    told = {"task": prediction.task, "size": prediction.size, "prediction": form(prediction)}
    return told if prediction.ood_score is None else told | {"ood_score": prediction.ood_score}


def result_json(result: Result, form: Form) -> dict[str, Any]:
    """Return a result of a stream as JSON.

    It has ``index``, its position in the stream; where the frame could be read, ``name`` and ``frame``, its number in its source;
    and what `prediction_json` gives, or ``error``.
    """
    told: dict[str, Any] = {"index": result.index}
    with suppress(AiohooksError):  # it could not be read
        told |= {"name": result.frame.name, "frame": result.frame.index}
    if result.error is not None:
        return told | {"error": str(refusal_of(result.error))}
    return told | prediction_json(result.prediction, form)
