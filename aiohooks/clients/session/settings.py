"""Inference settings: by keyword, from a mapping or from a YAML file, checked against those that a model has."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from aiohooks.errors import SpecError

Settings = Mapping[str, Any] | str | os.PathLike[str]
"""Settings by their names, or a YAML file that holds them."""

ALWAYS_KNOWN = "classes"
"""A setting that every served model has, also where it does not name it."""


def read_settings(settings: Settings) -> dict[str, Any]:
    """Return settings by their names; reads a file in this thread.

    Raises:
        SpecError: the file cannot be read or holds something else, or PyYAML, which reads it, is not installed.
    """
    if isinstance(settings, Mapping):
        return dict(settings)
    path = Path(settings)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SpecError(f"{path}: this is not text in UTF-8") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Return the settings in a text in YAML.

    Raises:
        SpecError: it holds something else, or PyYAML is not installed.
    """
    try:
        import yaml  # an extra
    except ImportError:
        raise SpecError(f"{where}: settings in YAML are read by PyYAML; pip install aiohooks[yaml]") from None
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise SpecError(f"{where}: this is not YAML: {' '.join(str(error).split())}") from None
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise SpecError(f"{where}: expected settings by their names, such as `conf: 0.5`")
    return data


def check_names(settings: Mapping[str, Any], known: Collection[str]) -> None:
    """Check that a model has these settings.

    Raises:
        SpecError: it has not; those that it has are named.
    """
    there = [*known, *(() if ALWAYS_KNOWN in known else (ALWAYS_KNOWN,))]
    if unknown := [name for name in settings if name not in there]:
        raise SpecError(f"settings: {unknown[0]!r} is no setting of this model; there are: {', '.join(there)}")
