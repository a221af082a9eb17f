"""Where the annotated frames of each source go."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from aiohooks.cli.annotated import AnnotatedPictures, AnnotatedVideo, Output
from aiohooks.cli.command import UsageError
from aiohooks.cli.inputs import Input
from aiohooks.cli.names import Names


def plan_outputs(folder: Path, inputs: Sequence[Input], *, recursive: bool, stride: int) -> list[Output]:
    """Return an output for each source; nothing is written yet.

    Pictures keep their names and a video becomes ``name.mp4``. Of several sources, each folder gets one of its own.

    Args:
        folder: where they go.
        inputs: the sources.
        recursive: pictures in subfolders of folders are meant too.
        stride: which frames of videos are meant.

    Raises:
        UsageError: a source would be overwritten.
    """
    names = Names()
    outputs: list[Output] = []
    for source in inputs:
        path = source.paths[0]
        if source.kind == "video":
            outputs.append(AnnotatedVideo(folder / names.take(f"{path.stem}.mp4"), path, stride))
        elif source.kind == "folder" and len(inputs) > 1:
            outputs.append(AnnotatedPictures(folder / names.take(path.resolve().name), Names()))
        else:
            outputs.append(AnnotatedPictures(folder, names))
    for output, path in _clashes(outputs, inputs, recursive):
        raise UsageError(f"--output {folder}: annotated pictures in {output.path} would overwrite {path}")
    return outputs


def _clashes(outputs: Sequence[Output], inputs: Sequence[Input], recursive: bool) -> Iterator[tuple[Output, Path]]:
    """Yield outputs with the source that they might overwrite."""
    for output in outputs:
        target = output.path.resolve()
        for source in inputs:
            for path in source.paths:
                place = path.resolve()
                if source.kind == "video":
                    clash = place == target
                elif source.kind == "pictures":
                    clash = place.parent == target
                else:
                    clash = place == target or (recursive and (place in target.parents or target in place.parents))
                if clash:
                    yield output, path
