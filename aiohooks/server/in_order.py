"""Several coroutines at once, and their results in the order in which they were given."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar, cast

import anyio

T = TypeVar("T")


async def in_order(functions: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """Await what all functions return at once; one that raises ends the others.

    Returns:
        Their results, in the order of the functions.

    Raises:
        ExceptionGroup: some raised.
    """
    given = list(functions)
    results: list[T | None] = [None] * len(given)

    async def take(index: int) -> None:
        results[index] = await given[index]()

    async with anyio.create_task_group() as tasks:
        for index in range(len(given)):
            tasks.start_soon(take, index)
    return cast("list[T]", results)
