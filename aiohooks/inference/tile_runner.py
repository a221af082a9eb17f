"""One model on pictures in tiles: a frame in, many inferences, one prediction out."""

from typing import Any

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from aiohooks.errors import InferQueueClosed
from aiohooks.frame import Frame
from aiohooks.inference.failures import failure
from aiohooks.inference.loaded_model import LoadedModel
from aiohooks.inference.placement import Placement
from aiohooks.inference.queue import Queue
from aiohooks.inference.tiling import Merge, Tile, Tiled
from aiohooks.prediction import Prediction

TILES_PER_SLOT = 2
"""Tiles in memory for each slot of the queue, those of all frames together: one runs while another is prepared or merged."""

_LARGE = 500_000  # bytes that are copied in about a tenth of a millisecond


class TileRunner:
    """Infers frames tile by tile: several tiles at once, merged in their order.

    Args:
        loaded: the model.
        tiled: its tiles.
        queue: runs it.
        threads: where costly work runs.
        before: decides where tiles are prepared.
        after: decides where outputs are decoded.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        tiled: Tiled,
        queue: Queue,
        *,
        threads: anyio.CapacityLimiter,
        before: Placement,
        after: Placement,
    ) -> None:
        self._loaded = loaded
        self._tiled = tiled
        self._queue = queue
        self._threads = threads
        self._before = before
        self._after = after
        self.room = anyio.Semaphore(TILES_PER_SLOT * queue.slots)

    async def infer(self, frame: Frame) -> Prediction:
        """Infer one frame; its pixels must not change until then.

        Raises:
            InferenceError: the model, its preprocessing or its decoding failed on a tile, which the message names.
            InferQueueClosed: the model is closed.
        """
        merge = self._tiled.merge((frame.height, frame.width))
        failures: list[Exception] = []
        async with anyio.create_task_group() as tasks:

            async def infer_tile(tile: Tile, before: anyio.Event, after: anyio.Event) -> None:
                try:
                    found = await self._find(frame, tile)
                    await before.wait()
                    await self._add(merge, tile, found)
                    after.set()
                except Exception as error:
                    failures.append(self._failure(frame, str(tile), error))
                    tasks.cancel_scope.cancel()
                finally:
                    self.room.release()

            before = anyio.Event()
            before.set()
            for tile in self._tiled.tiling.tiles(frame.height, frame.width):
                await self.room.acquire()
                after = anyio.Event()
                tasks.start_soon(infer_tile, tile, before, after)
                before = after
        if failures:
            raise failures[0]
        try:
            return await anyio.to_thread.run_sync(merge.finish, limiter=self._threads)
        except Exception as error:
            raise self._failure(frame, "cannot merge the tiles", error) from error

    async def _find(self, frame: Frame, tile: Tile) -> Any:
        pixels = tile.cut_from(frame.image)
        if pixels.nbytes > _LARGE:
            inputs, meta = await anyio.to_thread.run_sync(self._prepare, pixels, limiter=self._threads)
        elif self._before.on_loop:
            inputs, meta = self._before.run(self._prepare, pixels)
        else:
            inputs, meta = await anyio.to_thread.run_sync(
                self._before.run, self._prepare, pixels, limiter=self._threads
            )
        outputs = await self._queue.infer(inputs)
        if self._after.on_loop:
            return self._after.run(self._tiled.decode, outputs, meta)
        return await anyio.to_thread.run_sync(self._after.run, self._tiled.decode, outputs, meta, limiter=self._threads)

    def _prepare(self, pixels: NDArray[Any]) -> tuple[list[NDArray[Any]], dict[str, Any]]:
        flags = pixels.flags
        if not (flags.c_contiguous and flags.writeable):
            pixels = np.array(pixels, order="C")  # OpenVINO cannot read it in place
        return self._loaded.preprocess(pixels)

    async def _add(self, merge: Merge, tile: Tile, found: Any) -> None:
        if merge.adds_quickly:
            merge.add(tile, found)
        else:
            await anyio.to_thread.run_sync(merge.add, tile, found, limiter=self._threads)

    def _failure(self, frame: Frame, what: str, error: Exception) -> Exception:
        if isinstance(error, InferQueueClosed):
            return error
        told = failure(self._loaded.name, frame, what, error)
        told.__cause__ = error
        return told
