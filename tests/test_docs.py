"""What the documentation names is there, and its code runs."""

import argparse
import ast
import inspect
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import docs_surroundings
import pytest

import aiohooks
from aiohooks.cli import program

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
THINGS = {
    "ah": aiohooks,
    "deployment": aiohooks.Deployment,
    "prediction": aiohooks.Prediction,
    "geti": aiohooks.GetiClient,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_public_names_are_public(page: Path) -> None:
    for name in re.findall(r"\bah\.(\w+)", page.read_text(encoding="utf-8")):
        assert hasattr(aiohooks, name), f"ah.{name}"


def test_our_side_of_the_migration_table_is_there() -> None:
    rows = [
        re.split(r"(?<!\\)\|", line)[1:-1]
        for line in (ROOT / "docs/from_geti_sdk.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    assert {len(row) for row in rows} == {3}
    named = [found for row in rows for found in re.findall(r"\b(ah|deployment|prediction|geti)\.(\w+)", row[1])]
    assert len(named) > 30
    for thing, name in named:
        assert hasattr(THINGS[thing], name), f"{thing}.{name}"


CODE = {
    page.name: re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for page in PAGES
}
OF_OTHERS = "from geti_sdk"
COMMAND = re.compile(
    r"^(?: {4}|)(?:[A-Z_]+=\S+ )?aiohooks ((?:run|info|serve|demo|spool|ood|drift)\b.*?)(?:  +#.*)?$|`aiohooks ((?:run|info|serve|demo|spool|ood|drift) [^`]*)`",
    re.MULTILINE,
)
COMMANDS = sorted(
    {
        (page.name, line or quoted)
        for page in PAGES
        for line, quoted in COMMAND.findall(page.read_text(encoding="utf-8"))
    }
)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return docs_surroundings.fill(tmp_path_factory.mktemp("shelf"))


def test_the_first_five_minutes(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(shelf, tmp_path)
    for suffix in (".xml", ".bin"):
        (tmp_path / f"own{suffix}").symlink_to(shelf / f"model{suffix}")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    monkeypatch.chdir(tmp_path)
    docs_surroundings.fit_quickly(monkeypatch)
    text = (ROOT / "docs/first_five_minutes.md").read_text(encoding="utf-8").replace("own.onnx", "own.xml")
    names = docs_surroundings.Surroundings().names
    for language, block in re.findall(r"^```(python|bash)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        if language == "python":
            code = compile(block, "first_five_minutes.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if code.co_flags & inspect.CO_COROUTINE:
                anyio.run(lambda code=code: eval(code, names))
            else:
                exec(code, names)
            continue
        for line in block.splitlines():
            match shlex.split(line):
                case ["aiohooks", command, *arguments] if command != "serve":
                    assert program.main([command, *arguments]) == 0, line
    assert len(list((tmp_path / "overlays").iterdir())) == 3
    assert (tmp_path / "deployments/own/deployment/aiohooks.json").exists()
    assert (tmp_path / "report.html").stat().st_size > 10_000


def bring(shelf: Path, folder: Path) -> None:
    for path in shelf.iterdir():
        (folder / path.name).symlink_to(path)


@pytest.mark.parametrize("page", [name for name, blocks in CODE.items() if blocks and name != "first_five_minutes.md"])
def test_the_code_runs(page: str, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(shelf, tmp_path)
    monkeypatch.chdir(tmp_path)

    async def run() -> dict[str, Any]:
        async with docs_surroundings.of(page, tmp_path, monkeypatch) as around:
            for block in CODE[page]:
                if OF_OTHERS in block:
                    ast.parse(block)
                    continue
                for text, other in around.instead.items():
                    block = block.replace(text, other)
                code = compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                if code.co_flags & inspect.CO_COROUTINE:
                    await eval(code, around.names)
                else:  # it may run a loop of its own
                    await anyio.to_thread.run_sync(exec, code, around.names)
            return around.names

    left = anyio.run(run)
    LEFT.get(page, lambda *_: None)(left, tmp_path)


def ood(left: dict[str, Any], folder: Path) -> None:
    assert 0 <= left["prediction"].ood_score <= 1
    assert len(left["screened"].names) == 20
    assert left["both"].calibration_size > left["ood"].calibration_size
    assert (folder / "with_hooks/deployment/model.ood").exists()


def drift(left: dict[str, Any], folder: Path) -> None:
    assert left["published"].accepted == 100
    assert left["report"].findings.events == 103
    assert (folder / "report.html").stat().st_size > 10_000
    assert (folder / "map.svg").stat().st_size > 1000


def drift_at_work(left: dict[str, Any], _folder: Path) -> None:
    assert left["monitor"].counts.written == 3
    assert left["window"].events == 100


def hooks(left: dict[str, Any], _folder: Path) -> None:
    assert left["running"].counts.seen == 3
    assert left["outcome"].kind == "done"
    assert left["again"] == left["hook"]


LEFT: dict[str, Callable[[dict[str, Any], Path], None]] = {
    "ood.md": ood,
    "drift.md": drift,
    "drift_at_work.md": drift_at_work,
    "hooks.md": hooks,
}


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_commands_can_be_written_so(page: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command, comments=True)
    try:
        assert isinstance(program._parser().parse_args(words), argparse.Namespace)
    except SystemExit:
        assert "are required" in capsys.readouterr().err  # a text may name a command and its option without the rest
        options = [word for word in words if word.startswith("--")]
        with pytest.raises(SystemExit):
            program._parser().parse_args([*words[: words.index(options[0]) if options else None], "--help"])
        told = capsys.readouterr().out
        assert all(re.search(rf"{option}\b", told) for option in options)


def test_what_promises_cost_is_told_where_it_was_measured() -> None:
    rows = re.findall(
        r"^\|.*\|(.*)\| \[.*\]\((\w+\.md)", (ROOT / "docs/costs.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(rows) > 10
    for cost, page in rows:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for figure in re.findall(r"\d+\.\d+", cost):
            assert figure in text, f"{figure} is not in {page}"


def test_the_reference_has_every_public_name_once() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference").iterdir())
    assert sorted(re.findall(r"^::: aiohooks\.(\w+)$", text, re.MULTILINE)) == sorted(aiohooks.__all__)


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    named = set(re.findall(r": ([\w/]+\.md)", navigation))
    assert named == {str(page.relative_to(ROOT / "docs")) for page in PAGES[1:]}
