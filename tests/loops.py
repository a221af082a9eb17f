"""Loops that tests run on: each of them, but where it cannot matter which one it is."""

import pytest

on_one_loop = pytest.mark.parametrize("anyio_backend", ["asyncio"])
