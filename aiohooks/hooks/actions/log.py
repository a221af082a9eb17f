"""A line in the log."""

import string

import msgspec

from aiohooks.errors import SpecError
from aiohooks.fields import check_fields
from aiohooks.hooks.actions.logger import LogLevel, log
from aiohooks.hooks.event import HookEvent


class LogAction(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Writes one line to the logger ``aiohooks.hooks`` and returns it.

    Attributes:
        level: debug, info, warning, error or critical.
        message: the line, with any of ``{hook}``, ``{name}``, ``{index}``, ``{timestamp}``, ``{labels}``, ``{count}``
            (of objects) and ``{score}``, formatted as by ``str.format``: ``{score:.2f}``.

    Raises:
        SpecError: the level is another one, or the message cannot be formatted.
    """

    level: LogLevel = "info"
    message: str = "{hook}: frame {name} #{index}: {labels} (score {score:.3g})"

    def __post_init__(self) -> None:
        check_fields(self)
        _check_message(self.message)

    async def __call__(self, event: HookEvent) -> str:
        """Write the line."""
        frame, prediction = event.frame, event.prediction
        line = self.message.format(
            hook=event.hook, name=frame.name, index=frame.index, timestamp=frame.timestamp.isoformat(),
            labels=", ".join(prediction.label_names) or "nothing", count=len(prediction), score=event.score,
        )  # fmt: skip
        # A name with a line break in it must not pass for another entry.
        line = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
        log(self.level, "%s", line)
        return line


def _check_message(message: str) -> None:
    """Let only plain names through: ``{name.__class__}`` would let a configuration file look into the program."""
    known = {"hook": "", "name": "", "index": 0, "timestamp": "", "labels": "", "count": 0, "score": 0.0}
    try:
        fields = [(field, spec) for _, field, spec, _ in string.Formatter().parse(message) if field is not None]
    except ValueError as error:
        raise SpecError(f"LogAction.message: {error}") from None
    for field, spec in fields:
        if field not in known or "{" in (spec or ""):
            raise SpecError(
                f"LogAction.message: unknown {{{field}}}; known are {', '.join(f'{{{name}}}' for name in known)}"
            )
    try:
        message.format_map(known)
    except ValueError as error:
        raise SpecError(f"LogAction.message: {error}") from None
