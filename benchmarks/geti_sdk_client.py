"""geti-sdk from outside its environment."""

import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

PROGRAM = Path(__file__).with_name("geti_sdk_process.py")
PATIENCE = 60
LONGEST_ANSWER = 1 << 16


class GetiSdk:
    """geti-sdk in a process of its own, with one deployment at a time; the process is idle between the calls.

    Attributes:
        bursts: of the deployment that is open; how many came in the order of their frames, and how many did not.
    """

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._commands = process.stdin
        self._answers = BufferedByteReceiveStream(process.stdout)
        self.bursts = Counter[bool]()

    @classmethod
    @asynccontextmanager
    async def started(cls) -> AsyncIterator[Self]:
        """Run the interpreter that GETI_SDK_PYTHON names until the context ends."""
        # Isolated: neither PYTHONPATH nor this folder is meant for it.
        command = [os.environ["GETI_SDK_PYTHON"], "-I", str(PROGRAM)]
        async with await anyio.open_process(command, stderr=None) as process:
            yield cls(process)

    async def open(self, folder: Path, frames: Path, mode: str, hooks: Sequence[dict[str, Any]]) -> dict[str, str]:
        """Load a deployment in place of the one before.

        Args:
            folder: of the deployment.
            frames: path of an array of frames, to be taken in turn.
            mode: ``infer``, ``infer_async`` or ``AsyncVideoProcessor``.
            hooks: as Geti saves them.

        Returns:
            OpenVINO's performance ``hint`` and ``precision``.
        """
        self.bursts.clear()
        return await self._ask(open={"folder": str(folder), "frames": str(frames), "mode": mode, "hooks": hooks})

    async def burst(self, count: int) -> float:
        """Infer that many frames and let hooks finish; returns the seconds that it took there."""
        answer = await self._ask(count=count)
        if answer["predictions"] != count:
            raise RuntimeError(f"geti-sdk made {answer['predictions']} predictions of {count} frames")
        self.bursts[answer["in_order"]] += 1
        return answer["seconds"]

    async def _ask(self, **command: Any) -> dict[str, Any]:
        try:
            with anyio.fail_after(PATIENCE):
                await self._commands.send(json.dumps(command).encode() + b"\n")
                return json.loads(await self._answers.receive_until(b"\n", LONGEST_ANSWER))
        except TimeoutError:
            self._process.kill()
            raise RuntimeError(f"geti-sdk has not answered {command} within {PATIENCE} s") from None
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
            raise RuntimeError("geti-sdk's process has ended; what it printed above says why") from None
