"""The page on drift does what it says."""

import ast
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

PAGE = Path(__file__).parents[1] / "docs/drift.md"


def test_the_code_on_drift_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_models.save(ood_fixtures.model(), tmp_path / "model.xml")
    for name, count in (("held_out", 120), ("incoming", 10)):
        ood_fixtures.write(tmp_path / name, ood_fixtures.normal(count, seed=count))
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"ah": aiohooks}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

    async def run() -> None:
        for block in blocks:
            if "embeddings" in block:
                rng = np.random.default_rng(0)
                namespace["embeddings"] = rng.normal(size=(50, namespace["baseline"].width))
                namespace["milliseconds"] = np.arange(50) + 1_790_000_000_000
                namespace["ids"] = [f"event {i}" for i in range(50)]
            done = eval(compile(block, "docs/drift.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace)
            if inspect.isawaitable(done):
                await done

    anyio.run(run)
    assert namespace["published"].accepted == 50
    assert "10" in (tmp_path / "report.html").read_text("utf-8")
    versions = {one.name: one.events for one in namespace["report"].findings.versions}
    assert sorted(versions.values()) == [10, 50], "those that were published are of no model"
    assert (tmp_path / "map.svg").stat().st_size > 1000
