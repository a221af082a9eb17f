"""Folders replaced as a whole, or not at all."""

from pathlib import Path

import pytest

from aiohooks.atomic_folder import replace_folder


def folder(path: Path, name: str) -> Path:
    path.mkdir(parents=True)
    (path / name).touch()
    return path


def below(path: Path) -> list[str]:
    return sorted(str(one.relative_to(path)) for one in path.rglob("*"))


def test_a_folder_takes_a_place(tmp_path: Path) -> None:
    replace_folder(folder(tmp_path / "elsewhere" / "new", "a"), tmp_path / "place")
    assert below(tmp_path) == ["elsewhere", "place", "place/a"]


def test_nothing_stays_of_what_was_there(tmp_path: Path) -> None:
    place = folder(tmp_path / "place", "old")
    (place / "deep").mkdir()
    replace_folder(folder(tmp_path / "new", "a"), place)
    assert below(tmp_path) == ["place", "place/a"]
    replace_folder(folder(tmp_path / "new", "b"), place)
    assert below(tmp_path) == ["place", "place/b"]


def test_a_file_stays(tmp_path: Path) -> None:
    (tmp_path / "place").touch()
    with pytest.raises(OSError, match="place"):
        replace_folder(folder(tmp_path / "new", "a"), tmp_path / "place")
    assert below(tmp_path) == ["new", "new/a", "place"]


def test_what_a_link_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "place").symlink_to(folder(tmp_path / "far", "old"))
    replace_folder(folder(tmp_path / "new", "a"), tmp_path / "place")
    assert below(tmp_path) == ["far", "far/old", "place", "place/a"]
    assert not (tmp_path / "place").is_symlink()


def test_what_was_there_is_put_back_if_it_fails(tmp_path: Path) -> None:
    place = folder(tmp_path / "place", "old")
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "missing", place)
    assert below(tmp_path) == ["place", "place/old"]
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "missing", tmp_path / "free")
    assert below(tmp_path) == ["place", "place/old"]
