"""What the documentation names is there."""

import ast
import functools
import inspect
import re
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import ood_fixtures
import pytest
import tiny_models

import aiohooks

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
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


def folder_for_docs(folder: Path) -> dict[str, Any]:
    """What the page on out-of-distribution detection names: files in the folder, and arrays."""
    tiny_models.save(ood_fixtures.model(), folder / "model.xml")
    tiny_models.save(tiny_models.detector(), folder / "detector.xml")
    for name, count in (("train", 240), ("held_out", 150), ("archive", 20), ("incoming", 3), ("scenes", 120)):
        ood_fixtures.write(folder / name, ood_fixtures.normal(count, seed=count))
    (folder / "incoming/000.png").rename(folder / "incoming/1.png")
    rng = np.random.default_rng(0)
    arrays = {"features": rng.normal(size=(300, 16)), "held_out_features": rng.normal(size=(150, 16))}
    head = rng.normal(size=(16, 3))
    arrays |= {"logits": arrays["features"] @ head, "held_out_logits": arrays["held_out_features"] @ head}
    return {"ah": aiohooks} | arrays


def test_the_code_on_out_of_distribution_detection_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/ood.md").read_text(encoding="utf-8"), re.DOTALL)
    namespace = folder_for_docs(tmp_path)
    monkeypatch.chdir(tmp_path)

    async def run() -> None:
        for block in blocks:
            done = eval(compile(block, "docs/ood.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace)
            if inspect.isawaitable(done):
                await done

    anyio.run(run)
    assert 0 <= namespace["prediction"].ood_score <= 1
    assert len(namespace["screened"].names) == 20
    assert (tmp_path / "with_hooks/deployment/model.ood").exists()


def test_the_code_on_drift_monitoring_at_work_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/drift_at_work.md").read_text(encoding="utf-8"), re.DOTALL)
    namespace = folder_for_docs(tmp_path)
    monkeypatch.chdir(tmp_path)
    fit = functools.partial(aiohooks.DriftBaseline.fit, windows=200, components=8, random_features=16)
    monkeypatch.setattr(aiohooks.DriftBaseline, "fit", fit)

    async def run() -> None:
        for block in blocks:
            done = eval(
                compile(block, "docs/drift_at_work.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace
            )
            if inspect.isawaitable(done):
                await done

    anyio.run(run)
    assert namespace["monitor"].counts.written == 3
    assert namespace["window"].events == 100
