"""Frames and what was found in them, as files."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec

from aiohooks.atomic_file import write_atomically
from aiohooks.errors import ActionError
from aiohooks.fields import check_fields
from aiohooks.file_name import safe_name
from aiohooks.hooks import background
from aiohooks.hooks.actions.logger import LogLevel, log
from aiohooks.hooks.actions.picture import SUFFIXES, ImageFormat, encode, picture_of
from aiohooks.hooks.event import HookEvent

if TYPE_CHECKING:
    from _typeshed import StrPath
else:
    StrPath = str


_PICTURE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


class StoredFiles(msgspec.Struct, frozen=True):
    """Paths of the files that hold one event; None for what was not wanted.

    Attributes:
        image: the picture.
        prediction: Geti's JSON form of the prediction.
        score: score of the trigger.
        overlay: the picture with the prediction drawn on it.
    """

    image: str
    prediction: str | None = None
    score: str | None = None
    overlay: str | None = None


class _File(NamedTuple):
    holds: str
    folder: str
    suffix: str
    content: Callable[[], bytes]


class FileSystemDataCollection(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Keeps frames in a folder, in the layout of Geti.

    ``images/``, ``predictions/*.json``, ``scores/*.txt`` and ``overlays/*.jpg`` hold files of the same stem,
    ``<prefix><name>_<time>``, with the time in UTC to the microsecond as ``20250131T13-59-59-000000``; ``_2`` and so on
    follow where that is taken. The picture comes last: who sees it finds its other files. A file is whole or not there,
    and an event that fails or is cancelled leaves none.

    A frame that has its encoded bytes is stored as these; only others are encoded. All work is done in worker threads; for a
    hook that drops what it cannot take, one by one in a thread of low priority, which inference hardly feels.

    Attributes:
        target_folder: made if it is missing.
        file_name_prefix: put before the frame's name. Neither leads out of the folder, whatever it contains.
        save_predictions: also write the prediction.
        save_scores: also write the trigger's score, and below it the score of each part of a combination.
        save_overlays: also draw the prediction on the picture.
        image_format: ``png`` or ``jpeg``, for frames without encoded bytes.
        jpeg_quality: 1–100, also of the overlays.
        log_level: level of the line that says what was stored.

    Raises:
        SpecError: a value is out of its range.
    """

    target_folder: Annotated[StrPath, msgspec.Meta(min_length=1)]
    file_name_prefix: str = ""
    save_predictions: bool = True
    save_scores: bool = True
    save_overlays: bool = True
    image_format: ImageFormat = "png"
    jpeg_quality: Annotated[int, msgspec.Meta(ge=1, le=100)] = 90
    log_level: LogLevel = "debug"

    def __post_init__(self) -> None:
        if isinstance(self.target_folder, os.PathLike):
            msgspec.structs.force_setattr(self, "target_folder", os.fspath(self.target_folder))
        check_fields(self)

    async def __call__(self, event: HookEvent) -> StoredFiles:
        """Store the event, in a worker thread.

        Raises:
            ActionError: a file cannot be written, or the picture cannot be encoded.
        """
        return await self._keep(background.IN_WORKER_THREADS, event)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[Callable[[HookEvent], Awaitable[StoredFiles]]]:
        """Hold a hook's threads; entering it gives the function that stores an event in them."""
        async with background.threads() as threads:
            yield partial(self._keep, threads)

    async def _keep(self, threads: background.Threads, event: HookEvent) -> StoredFiles:
        nothing_to_encode = event.frame.encoded is not None and not self.save_overlays
        run = threads.light if nothing_to_encode else threads.heavy
        try:
            stored = await run(self._store, event)
        except (OSError, ValueError) as error:
            raise ActionError(
                f"frame {event.frame.name!r} cannot be stored in {self.target_folder}: {error}"
            ) from error
        log(self.log_level, "hook %s: stored %s", event.hook, stored.image)
        return stored

    def _store(self, event: HookEvent) -> StoredFiles:
        root = os.fspath(self.target_folder)
        images = os.path.join(root, "images")
        stored: dict[str, str] = {}
        with _claimed_stem(images, self._stem(event)) as (stem, claim), ExitStack() as undo:
            for file in self._files(event):
                background.check_cancelled()
                path = os.path.join(root, file.folder, stem + file.suffix)
                _write(path, file.content(), part=claim if file.holds == "image" else None)
                undo.callback(_remove, path)
                stored[file.holds] = path
            undo.pop_all()
        return StoredFiles(**stored)

    def _files(self, event: HookEvent) -> Iterator[_File]:
        prediction, quality = event.prediction, self.jpeg_quality
        if self.save_predictions:
            yield _File("prediction", "predictions", ".json", lambda: msgspec.json.encode(prediction.to_geti()))
        if self.save_scores:
            yield _File("score", "scores", ".txt", lambda: _scores(event).encode())
        if self.save_overlays:
            yield _File("overlay", "overlays", ".jpg", lambda: encode(prediction.draw(event.frame), ".jpg", quality))
        picture = picture_of(event.frame, self.image_format, quality)
        yield _File("image", "images", picture.suffix, lambda: picture.data)

    def _stem(self, event: HookEvent) -> str:
        time = event.triggered_at.astimezone(UTC).strftime("%Y%m%dT%H-%M-%S-%f")
        name = event.frame.name
        plain, suffix = os.path.splitext(name)
        name = plain if suffix.lower() in _PICTURE_SUFFIXES else name
        return f"{safe_name(self.file_name_prefix + name)}_{time}"


@contextmanager
def _claimed_stem(images: str, wanted: str) -> Iterator[tuple[str, str]]:
    """Give a stem that no other picture in the folder has, and the path of an empty file that keeps it so.

    No other thread or process can get the stem while that file is there; it is the one to become the picture.
    """
    number = 0
    while True:
        number += 1
        stem = wanted if number == 1 else f"{wanted}_{number}"
        path = f"{images}{os.sep}{stem}"
        claim = f"{images}{os.sep}.{stem}.part"
        try:
            os.close(_made(claim))
        except FileExistsError:
            continue
        try:
            if not any(os.access(path + suffix, os.F_OK) for suffix in SUFFIXES):
                yield stem, claim
                return
        except BaseException:
            _remove(claim)
            raise
        _remove(claim)


def _made(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o666)


def _write(path: str, data: bytes, part: str | None) -> None:
    try:
        write_atomically(path, data, part=part)
    except FileNotFoundError:
        if part is not None:
            raise
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomically(path, data)


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _scores(event: HookEvent) -> str:
    return "\n".join([str(event.score), *(f"{part}: {score}" for part, score in event.scores.items())])
