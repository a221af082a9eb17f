import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sources_fixtures import encode, needs_proc, smooth_picture, source_threads

from aiohooks import sources
from aiohooks.errors import FrameError
from aiohooks.frame import Frame

pytestmark = pytest.mark.anyio

RGB = smooth_picture()
PNG = encode(RGB, "PNG")


def write(path: Path, content: bytes = PNG) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


async def names(source: sources.FrameSource) -> list[str]:
    return [frame.name async for frame in source]


async def test_a_file_becomes_a_frame_that_keeps_its_bytes(tmp_path: Path) -> None:
    frame = await sources.as_frame(write(tmp_path / "sea.png"), index=4)

    assert frame.image.tolist() == RGB.tolist()
    assert (frame.name, frame.index, frame.encoded, frame.owned) == ("sea.png", 4, PNG, True)
    assert frame.timestamp.tzinfo is not None


async def test_bytes_that_had_to_be_turned_are_not_kept() -> None:
    turned = encode(RGB, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")
    frame = await sources.as_frame(turned)

    assert (frame.width, frame.height) == RGB.shape[:2]
    assert frame.encoded is None


async def test_pixels_and_frames_are_taken_as_they_are() -> None:
    frame = await sources.as_frame(RGB, index=2)
    assert frame.image is RGB
    assert (frame.index, frame.owned) == (2, False)

    assert await sources.as_frame(frame, index=9) is frame
    assert sources.wrap(frame, 9) is frame
    assert sources.wrap("a.png", 0) is None
    assert sources.wrap(memoryview(PNG), 0) is None


async def test_a_frame_can_be_given_a_name_and_a_context(tmp_path: Path) -> None:
    context = object()
    for picture in (write(tmp_path / "sea.png"), PNG, RGB, Frame(RGB, "old", index=3)):
        frame = await sources.as_frame(picture, name="new", context=context)
        assert (frame.name, frame.context) == ("new", context)
        assert frame.index == (3 if isinstance(picture, Frame) else 0)
        assert await sources.as_frame(frame, name="new", context=context) is frame


@pytest.mark.parametrize("data", [bytearray(PNG), memoryview(PNG)])
async def test_any_kind_of_bytes_will_do(data: bytearray | memoryview) -> None:
    frame = await sources.as_frame(data)
    assert type(frame.encoded) is bytes


async def test_what_cannot_be_a_picture_is_told_what_can() -> None:
    with pytest.raises(FrameError, match=r"picture 3: expected an RGB uint8 array, a path, .* got dict"):
        await sources.as_frame({}, index=3)


async def test_the_pixel_limit_holds_for_files_and_bytes(tmp_path: Path) -> None:
    for picture in (write(tmp_path / "sea.png"), PNG):
        with pytest.raises(FrameError, match="more than the limit of 100"):
            await sources.as_frame(picture, max_pixels=100)


async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for name, complaint in {
        "none.png": "No such file",
        ".": "it is a folder",
        "pipe.png": "not a regular file",
        "a\0b.png": "embedded null",
    }.items():
        with pytest.raises(FrameError, match=complaint) as failure:
            await sources.as_frame(tmp_path / name)
        assert str(failure.value).startswith(str(tmp_path))

    with pytest.raises(FrameError, match=r"text\.jpg: not a picture"):
        await sources.as_frame(write(tmp_path / "text.jpg", b"Dear reader"))


@needs_proc
async def test_a_file_that_fails_while_it_is_read_is_named() -> None:
    with pytest.raises(FrameError, match=r"^/proc/self/mem: cannot be read: Input/output error"):
        await sources.as_frame("/proc/self/mem")


async def test_images_takes_any_mixture(tmp_path: Path) -> None:
    frame = Frame(RGB, "mine", index=7)
    source = sources.images(write(tmp_path / "sea.png"), [PNG, RGB], (frame,), str(tmp_path / "sea.png"))

    frames = [frame async for frame in source]

    assert source.total == 5
    assert repr(source) == "FrameSource('5 pictures')"
    assert [(frame.name, frame.index) for frame in frames] == [
        ("sea.png", 0),
        ("", 1),
        ("", 2),
        ("mine", 7),
        ("sea.png", 4),
    ]
    assert all(np.array_equal(frame.image, RGB) for frame in frames)
    assert source_threads() == []


async def test_a_source_can_be_read_again() -> None:
    source = sources.images([PNG] * 9, read_ahead=3)
    for _ in range(2):
        assert [frame.index async for frame in source] == list(range(9))


async def test_an_unreadable_picture_is_an_error_in_its_place() -> None:
    frames = aiter(sources.images(PNG, b"", PNG))

    assert (await anext(frames)).index == 0
    with pytest.raises(FrameError, match="picture 1: it is empty"):
        await anext(frames)
    assert (await anext(frames)).index == 2
    await frames.aclose()


async def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "img10.png", "img2.png", "٣1.png", "IMG3.png", "2.png", "notes.txt", ".hidden.png"):
        write(tmp_path / name)
    write(tmp_path / "below" / "c.png")

    source = sources.folder(tmp_path)

    assert source.total is None
    assert await names(source) == ["2.png", "b.PNG", "img2.png", "IMG3.png", "img10.png", "٣1.png"]
    assert source.total == 6


async def test_a_recursive_folder_goes_below_but_not_into_hidden_folders(tmp_path: Path) -> None:
    for name in ("z.png", "b10/a.png", "b9/a.png", "b9/deep/a.png", ".git/a.png"):
        write(tmp_path / name)

    assert await names(sources.folder(tmp_path, recursive=True)) == ["b9/a.png", "b9/deep/a.png", "b10/a.png", "z.png"]


async def test_a_folder_is_listed_anew_by_each_loop(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    source = sources.folder(str(tmp_path))
    assert await names(source) == ["a.png"]

    write(tmp_path / "b.png")
    assert await names(source) == ["a.png", "b.png"]


async def test_only_files_with_the_suffixes_asked_for_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    write(tmp_path / "b.picture")

    assert await names(sources.folder(tmp_path, suffixes={".picture"})) == ["b.picture"]


@pytest.mark.parametrize("recursive", [False, True])
async def test_a_folder_without_pictures_is_one_error(tmp_path: Path, recursive: bool) -> None:
    write(tmp_path / "notes.txt")
    for path, complaint in {
        tmp_path / "none": "cannot be listed: No such file",
        tmp_path / "notes.txt": "cannot be listed: Not a directory",
        tmp_path: "no picture in it",
    }.items():
        frames = aiter(sources.folder(path, recursive=recursive))
        with pytest.raises(FrameError, match=complaint) as failure:
            await anext(frames)
        assert str(path) in str(failure.value)
        with pytest.raises(StopAsyncIteration):
            await anext(frames)


async def test_a_broken_link_in_a_folder_is_an_error_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "gone")
    write(tmp_path / "b.png")
    frames = aiter(sources.folder(tmp_path))

    with pytest.raises(FrameError, match=r"a\.png: cannot be read"):
        await anext(frames)
    assert (await anext(frames)).name == "b.png"
    await frames.aclose()


def test_the_package_is_cheap_to_import() -> None:
    heavy = "{'cv2', 'PIL', 'aiohttp'} & set(sys.modules)"
    script = f"import sys, aiohooks.sources; assert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
