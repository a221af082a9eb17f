"""OpenVINO ends the process when its callbacks or the destruction of its requests go wrong: look for it, often."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

OPEN_AND_CLOSE = """
import asyncio, sys
import aiohooks
sys.path.insert(0, sys.argv[1])
import tiny_models

async def main():
    image = tiny_models.plain(red=255)
    for round in range(300):
        async with aiohooks.Deployment.load(tiny_models.classifier(), max_requests=4) as deployment:
            results = await deployment.infer_many([image] * 8)
            assert all(result.prediction.label_names == ("red",) for result in results)

asyncio.run(main())
print("in order")
"""


def run(*arguments: str, seconds: float) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stdout.strip() == "in order"


@pytest.mark.parametrize("seed", range(50))
def test_nothing_ends_the_process(seed: int) -> None:
    run(str(HERE / "trouble.py"), str(seed), seconds=60)


def test_opening_using_and_closing_300_times() -> None:
    run("-c", OPEN_AND_CLOSE, str(HERE.parent), seconds=300)
