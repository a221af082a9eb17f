"""``aiohooks spool``."""

import json
import re
from pathlib import Path

import anyio
import pytest
from spool_fixtures import files, item

from aiohooks.cli import main
from aiohooks.delivery.spool import Spool


async def fill(folder: Path) -> None:
    """Two items that wait, two dead letters, one delivered, one dropped."""
    async with Spool(str(folder), max_items=4, full="drop_newest").open() as store:
        await store.put(item(0))
        await store.ack(await store.lease())
        for i in (1, 2):
            await store.put(item(i))
            await store.bury(await store.lease(), reason=f"404: {i}")
        for i in (3, 4, 5):
            await store.put(item(i))


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    anyio.run(fill, tmp_path / "spool")
    return tmp_path / "spool"


def rows(text: str) -> dict[str, str]:
    return dict(re.split("   +", line, maxsplit=1) for line in text.splitlines())


def test_status(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spool", "status", str(spool)]) == 0
    told = rows(capsys.readouterr().out)
    assert told["folder"] == str(spool)
    assert told["owner"] == "nobody"
    assert told["waiting"].startswith("2, the oldest for ")
    assert told["dead letters"].startswith("2, the oldest for ")
    assert (told["accepted"], told["delivered"], told["lost"]) == ("5", "1", "1 dropped newest")
    assert main(["spool", "status", str(spool), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)["status"]
    assert (status["ready"], status["dead"], status["accepted"], status["lost"]) == (2, 2, 5, {"dropped_newest": 1})


def test_status_reads_beside_a_running_owner_and_nothing_else_does(
    spool: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def own() -> None:
        async with Spool(str(spool), max_attempts=9).open() as store:
            await store.lease()
            assert await anyio.to_thread.run_sync(main, ["spool", "status", str(spool)]) == 0
            told = rows(capsys.readouterr().out)
            assert told["owner"].startswith("process ")
            assert told["in hand"] == "1"
            for command in (
                ["replay", str(spool)],
                ["export", str(spool), str(tmp_path / "x")],
                ["purge", str(spool), "--yes"],
            ):
                assert await anyio.to_thread.run_sync(main, ["spool", *command]) == 1
                shown = capsys.readouterr()
                assert shown.err.startswith(f"aiohooks spool: {spool}: it is in use by process ")
                assert shown.out == ""

    anyio.run(own)


def test_replay(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spool", "replay", str(spool), "--key", item(2).key, "--key", "unknown"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "replayed 1 item\n"
    assert shown.err == "aiohooks spool: 1 of the keys have no dead letter here\n"
    assert main(["spool", "replay", str(spool), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"replayed": 1}
    assert all(name.startswith("ready/") for name in files(spool))


def test_export_leaves_the_spool_as_it_is(spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(spool)
    assert main(["spool", "export", str(spool), str(tmp_path / "all")]) == 0
    assert capsys.readouterr().out == "exported 4 items\n"
    assert main(["spool", "export", str(spool), str(tmp_path / "dead"), "--dead"]) == 0
    assert files(spool) == before
    assert [path.read_bytes().strip(b".") for path in sorted((tmp_path / "all").glob("*.payload"))] == [
        b"1",
        b"2",
        b"3",
        b"4",
    ]
    about = json.loads((tmp_path / "dead" / "0000000000000001.json").read_bytes())
    assert about.items() >= {"key": item(1).key, "source": "cam", "accepted_at": 1_000_001.0}.items()
    assert about["dead"]["reason"] == "404: 1"
    assert len(list((tmp_path / "dead").iterdir())) == 4


def test_export_to_where_nothing_can_be_written(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spool", "export", str(spool), str(spool / "lock" / "x")]) == 1
    assert "an item cannot be exported" in capsys.readouterr().err


def test_purge_asks(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spool", "purge", str(spool)]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert len(files(spool)) == 6
    assert main(["spool", "purge", str(spool), "--dead", "--yes"]) == 0
    assert main(["spool", "purge", str(spool), "--yes"]) == 0
    assert capsys.readouterr().out == "purged 2 items\npurged 2 items\n"
    assert files(spool) == []


@pytest.mark.parametrize("action", [["status"], ["replay"], ["purge", "--yes"]])
def test_a_folder_that_is_no_spool_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], action: list[str]
) -> None:
    assert main(["spool", action[0], str(tmp_path / "nowhere"), *action[1:]]) == 1
    assert "there is no such folder" in capsys.readouterr().err
    assert main(["spool", action[0], str(tmp_path), *action[1:]]) == 1
    assert "it is not the folder of a spool" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
