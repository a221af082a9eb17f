"""A file of arrays comes back as it was written, or says what is wrong with it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from aiohooks.array_file import read_arrays, write_arrays
from aiohooks.errors import LoadError, SpecError

KIND = "a test"
ARRAYS = {
    "bank": np.arange(12, dtype=np.float32).reshape(3, 4),
    "mask": np.array([True, False]),
    "none": np.zeros((0, 3)),
}
FIELDS = {"names": ["a", "ö"], "rate": 0.5, "nested": {"x": [1, None]}}


def write(path: Path, **changes: object) -> Path:
    write_arrays(path, **{"kind": KIND, "version": 2, "fields": FIELDS, "arrays": ARRAYS} | changes)
    return path


def read(path: Path) -> object:
    return read_arrays(path, kind=KIND, version=2)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = read(write(tmp_path / "file"))
    assert found.version == 2
    assert found.fields == FIELDS
    assert list(found.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)


def test_arrays_are_aligned_views_that_cannot_be_changed(tmp_path: Path) -> None:
    for array in read(write(tmp_path / "file")).arrays.values():
        assert not array.flags.owndata
        assert not array.flags.writeable
        assert array.ctypes.data % 64 == 0


@given(
    array=arrays_of.arrays(
        st.sampled_from(["<f4", ">f8", "<i8", ">u2", "|b1", "<f2"]),
        arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9),
    ),
    transposed=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_every_array_survives(array: np.ndarray, transposed: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    array = array.T if transposed else array
    found = read(write(tmp_path_factory.mktemp("arrays") / "file", arrays={"x": array})).arrays["x"]
    assert found.shape == array.shape
    assert found.astype(array.dtype).tobytes() == array.tobytes()


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "file")
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(LoadError, match=str(path)):
            read(path)


def test_every_missing_end_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "file")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(LoadError, match=str(path)):
            read(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(LoadError, match=f"has {len(whole) + 1:,} bytes and should have {len(whole):,}"):
        read(path)


def test_other_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="there is no such file; a test was to be read"):
        read(tmp_path / "missing")
    with pytest.raises(LoadError, match="cannot be read"):
        read(tmp_path)
    with pytest.raises(LoadError, match="file of a drift baseline, not of a test"):
        read(write(tmp_path / "baseline", kind="a drift baseline"))
    with pytest.raises(LoadError, match=r"newer aiohooks wrote this \(version 3; this one reads up to version 2\)"):
        read(write(tmp_path / "newer", version=3))
    whole = bytearray(write(tmp_path / "form").read_bytes())
    whole[6] = 9
    (tmp_path / "form").write_bytes(whole)
    with pytest.raises(LoadError, match="form 9"):
        read(tmp_path / "form")


def test_objects_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="array 'x': object cannot be saved"):
        write(tmp_path / "file", arrays={"x": np.array([{}])})
    with pytest.raises(OSError, match="missing"):
        write(tmp_path / "missing" / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_replaced_file_stays_as_it_was_for_who_has_read_it(tmp_path: Path) -> None:
    before = read(write(tmp_path / "file")).arrays["bank"]
    write(tmp_path / "file", arrays={"bank": np.zeros((3, 4), np.float32)})
    np.testing.assert_array_equal(before, ARRAYS["bank"])
