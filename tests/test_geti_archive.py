"""Archives from a server are unpacked below their folder, within bounds, or not at all."""

import io
import os
import stat
import struct
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiohooks.clients.geti import archive
from aiohooks.clients.geti.archive import ArchiveError, check_members, safe_member, unpack

names = st.text("ab./\\:\0 ~é", max_size=12) | st.text(max_size=8)


def written(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as opened:
        for name, content in members:
            opened.writestr(name, content)
    return path


def below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    return folder


@given(names)
def test_a_name_is_below_the_folder_or_refused(name: str) -> None:
    try:
        path = safe_member(name)
    except ArchiveError:
        return
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert os.path.normpath(f"/root/{path}") == f"/root/{path}"
    assert path == PurePosixPath(name)


@pytest.mark.parametrize(
    "name",
    ["", "/", ".", "..", "a/..", "../a", "a/../b", "/etc/passwd", "//a", "a//b", "./a", "C:/a", "c:a", "a\\b", "..\\a", "a\0b", "a\nb",
     "a?", "a\x1b[2J", "\ud800", "x" * 2000],
)  # fmt: skip
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(ArchiveError, match="the name"):
        safe_member(name)


def test_a_deployment_is_unpacked_as_it_is(tmp_path: Path, target: Path) -> None:
    files = {
        "deployment/project.json": b"{}",
        "deployment/Détection task/model/model.bin": os.urandom(3_000_000),
        "deployment/e/": b"",
    }
    package = written(tmp_path / "a.zip", *files.items(), compression=zipfile.ZIP_DEFLATED)
    unpack(package, target, max_bytes=3_000_002)
    assert below(target) == {name: content for name, content in files.items() if not name.endswith("/")}
    assert (target / "deployment/e").is_dir()


@pytest.mark.parametrize("name", ["../../out", "/tmp/aiohooks-out", "a/../../../out", "..\\out", "a/\0b"])
def test_a_file_that_leads_out_is_not_written(tmp_path: Path, target: Path, name: str) -> None:
    information = zipfile.ZipInfo("x")
    information.filename = information.orig_filename = name
    package = written(tmp_path / "a.zip", ("good", b"1"), (information, b"2"))
    with pytest.raises(ArchiveError, match="the name"):
        unpack(package, target, max_bytes=100)
    assert below(tmp_path) == {"a.zip": package.read_bytes()}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path: Path, target: Path, kind: int) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (kind | 0o777) << 16
    package = written(tmp_path / "a.zip", (link, b"/etc"), ("link/passwd", b"x"))
    with pytest.raises(ArchiveError, match="link is a link or a device"):
        unpack(package, target, max_bytes=100)
    assert below(target) == {}


def test_files_get_no_rights_that_an_archive_asks_for(tmp_path: Path, target: Path) -> None:
    tool = zipfile.ZipInfo("tool")
    tool.external_attr = (stat.S_IFREG | 0o6777) << 16
    unpack(written(tmp_path / "a.zip", (tool, b"#!")), target, max_bytes=100)
    assert not (target / "tool").stat().st_mode & 0o7111


@pytest.mark.parametrize("other", ["a/B", "A/b", "a/b"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path: Path, target: Path, other: str) -> None:
    with pytest.raises(ArchiveError, match="is in it twice"):
        unpack(written(tmp_path / "a.zip", ("a/b", b"1"), (other, b"2")), target, max_bytes=100)


def test_a_file_that_is_also_a_folder_fails_whole(tmp_path: Path, target: Path) -> None:
    with pytest.raises((ArchiveError, OSError)):
        unpack(written(tmp_path / "a.zip", ("a", b"1"), ("a/b", b"2")), target, max_bytes=100)


def test_more_bytes_than_allowed_are_refused_before_they_are_written(tmp_path: Path, target: Path) -> None:
    package = written(tmp_path / "a.zip", ("bomb", bytes(10_000_000)), compression=zipfile.ZIP_DEFLATED)
    assert package.stat().st_size < 20_000
    with pytest.raises(ArchiveError, match="holds more than 9999999 bytes"):
        unpack(package, target, max_bytes=9_999_999)
    assert below(target) == {}


def test_a_bomb_that_lies_about_its_size_is_stopped(tmp_path: Path, target: Path) -> None:
    package = written(tmp_path / "a.zip", ("bomb", bytes(10_000_000)), compression=zipfile.ZIP_DEFLATED)
    data = package.read_bytes().replace(struct.pack("<I", 10_000_000), struct.pack("<I", 10))
    package.write_bytes(data)
    with pytest.raises(ArchiveError):
        unpack(package, target, max_bytes=1000)
    assert sum(map(len, below(target).values())) <= 1000


def test_too_many_entries_are_refused(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    package = written(tmp_path / "a.zip", *((f"{i}", b"") for i in range(4)))
    with pytest.raises(ArchiveError, match="holds 4 entries, more than 3"):
        unpack(package, target, max_bytes=100)


def test_encrypted_files_are_refused() -> None:
    member = zipfile.ZipInfo("secret")
    member.flag_bits |= 1
    with pytest.raises(ArchiveError, match="secret is encrypted"):
        check_members([member], max_bytes=10)


@pytest.mark.parametrize("cut", [0, 10, 60, -30, -1])
def test_damage_is_told(tmp_path: Path, target: Path, cut: int) -> None:
    package = written(tmp_path / "a.zip", ("a", bytes(range(256)) * 50), compression=zipfile.ZIP_DEFLATED)
    package.write_bytes(package.read_bytes()[:cut])
    with pytest.raises(ArchiveError, match="it is damaged"):
        unpack(package, target, max_bytes=100_000)


def test_a_flipped_bit_is_told(tmp_path: Path, target: Path) -> None:
    package = written(tmp_path / "a.zip", ("a", b"some content"))
    package.write_bytes(package.read_bytes().replace(b"some content", b"same content"))
    with pytest.raises(ArchiveError, match="it is damaged: BadZipFile Bad CRC"):
        unpack(package, target, max_bytes=100)


def test_work_that_nobody_waits_for_ends(tmp_path: Path, target: Path) -> None:
    class Stop(BaseException):
        pass

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        unpack(written(tmp_path / "a.zip", ("a", b"1")), target, max_bytes=10, check_cancelled=stop)


@given(st.binary(max_size=300))
def test_any_bytes_are_unpacked_or_refused(data: bytes) -> None:
    valid = io.BytesIO()
    with zipfile.ZipFile(valid, "w") as opened:
        opened.writestr("a", b"b")
    content = bytearray(valid.getvalue())
    for i, byte in enumerate(data):
        content[(i * 7 + byte) % len(content)] ^= byte
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as broken:
            check_members(broken.infolist(), max_bytes=10_000)
    except (ArchiveError, zipfile.BadZipFile, NotImplementedError, ValueError, OSError, UnicodeDecodeError):
        pass
