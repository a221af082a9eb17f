"""Counts as text for Prometheus.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4.
"""

from collections.abc import Iterable

from aiohooks.metric_family import Family, shown

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text_of(families: Iterable[Family]) -> str:
    """Return the text; families of one name are told as one, those without samples are left out."""
    by_name: dict[str, list[Family]] = {}
    for family in families:
        if family.samples:
            by_name.setdefault(family.name, []).append(family)
    lines = []
    for name, (first, *more) in by_name.items():
        lines += [f"# HELP {name} {_escaped(first.help)}", f"# TYPE {name} {first.kind}"]
        for suffix, labels, value in (sample for family in (first, *more) for sample in family.samples):
            told = ",".join(f'{label}="{_quoted(text)}"' for label, text in labels.items())
            lines.append(f"{name}{suffix}{{{told}}} {shown(value)}" if told else f"{name}{suffix} {shown(value)}")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
