"""What the documentation names is there."""

import re
from pathlib import Path

import pytest

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
