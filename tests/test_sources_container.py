from pathlib import Path

import pytest
from sources_fixtures import write_video

from aiohooks.sources.container import is_cut_off


def box(kind: bytes, content: bytes = b"", *, size: int | None = None) -> bytes:
    return (8 + len(content) if size is None else size).to_bytes(4, "big") + kind + content


def large_box(kind: bytes, content: bytes) -> bytes:
    return box(kind, (16 + len(content)).to_bytes(8, "big") + content, size=1)


def riff(content: bytes) -> bytes:
    return b"RIFF" + len(content).to_bytes(4, "little") + content


def matroska(size: bytes, content: bytes) -> bytes:
    return b"\x1a\x45\xdf\xa3\x84head" + b"\x18\x53\x80\x67" + size + content


FTYP = box(b"ftyp", b"isom" + bytes(8))

WHOLE = {
    "mp4": FTYP + box(b"mdat", bytes(50)) + box(b"moov", bytes(50)),
    "mp4 index first": FTYP + box(b"moov", bytes(50)) + box(b"mdat", bytes(50)),
    "mp4 large": FTYP + box(b"moov", bytes(9)) + large_box(b"mdat", bytes(50)),
    "avi": riff(b"AVI " + bytes(60)),
    "avi in two pieces": riff(b"AVI " + bytes(60)) + riff(b"AVIX" + bytes(30)),
    "matroska": matroska(b"\xb2", bytes(50)),
    "matroska large": matroska(b"\x01\0\0\0\0\0\0\x32", bytes(50)),
}

NOT_TOLD = {
    "mp4 to its end": FTYP + box(b"mdat", bytes(50), size=0),
    "not a box": FTYP + bytes.fromhex("00000003") + bytes(50),
    "avi left unfinished": b"RIFF\0\0\0\0AVI " + bytes(60),
    "matroska live": matroska(b"\xff", bytes(50)),
    "matroska without segment": matroska(b"\xb2", bytes(50)).replace(b"\x18", b"\x19"),
    "another format": b"FLV\x01" + bytes(60),
    "empty": b"",
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("lost", [0, 1, 25])
def test_a_file_shorter_than_it_says_is_cut_off(tmp_path: Path, kind: str, lost: int) -> None:
    file = tmp_path / "video"
    file.write_bytes(WHOLE[kind][: len(WHOLE[kind]) - lost])

    assert is_cut_off(file) == (lost > 0)


@pytest.mark.parametrize("kind", NOT_TOLD)
def test_a_file_that_does_not_say_its_length_is_not_cut_off(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "video"
    file.write_bytes(NOT_TOLD[kind])

    assert not is_cut_off(file)


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "mp4v"), (".avi", "MJPG"), (".mkv", "mp4v")])
def test_files_that_ffmpeg_wrote_are_understood(tmp_path: Path, suffix: str, codec: str) -> None:
    file = write_video(tmp_path / f"video{suffix}", 20, codec=codec)
    assert not is_cut_off(file)

    file.write_bytes(file.read_bytes()[:-1])
    assert is_cut_off(file)
