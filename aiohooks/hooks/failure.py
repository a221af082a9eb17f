"""What a user's trigger or action raised, in a form that can be kept."""

from aiohooks.errors import ActionError, AiohooksError, TriggerError


def failure_of(error: Exception, kind: type[TriggerError] | type[ActionError]) -> AiohooksError:
    """Return it as an error of this package, itself if it is one, and without its tracebacks.

    A traceback holds the variables of the code that failed, and so the pixels of the frame it failed on.
    """
    _forget_tracebacks(error)
    if isinstance(error, AiohooksError):
        return error
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # its own __str__ is broken
        text = type(error).__name__
    failure = kind(text)
    failure.__cause__ = error
    return failure


def _forget_tracebacks(error: BaseException) -> None:
    found: list[BaseException | None] = [error]
    seen: set[int] = set()
    while found:
        each = found.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            found += [each.__cause__, each.__context__]
            if isinstance(each, BaseExceptionGroup):
                found += each.exceptions
