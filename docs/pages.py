"""What MkDocs does beside: source files that pages link to become pages, and nothing is loaded from another host."""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTWARD = re.compile(r"\]\(((?:\.\./)+)([\w./]+?\.(?:py|md))\)")
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?![^>]*rel=["']?canonical)[^>]*\bhref=["']?((?:https?:)?//[^"'\s>]+)"""
)
LOADED_BY_STYLE = re.compile(r"""(?:@import|url\()\s*["']?((?:https?:)?//[^"')\s]+)""")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file of the repository that a page links to."""
    for page in list(files.documentation_pages()):
        for _, target in OUTWARD.findall(page.content_string):
            source = ROOT / target
            if (
                source.is_file()
                and (ROOT / "docs") not in source.parents
                and files.get_file_from_path(name(target)) is None
            ):
                text = source.read_text(encoding="utf-8")
                content = text if source.suffix == ".md" else f"# {target}\n\n````python\n{text}\n````\n"
                files.append(File.generated(config, name(target), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_options: Any) -> str:
    """Let links to files of the repository lead to their pages."""
    up = "../" * page.file.src_uri.count("/")

    def inward(match: re.Match[str]) -> str:
        outside = match[1].count("../") > page.file.src_uri.count("/")
        return f"]({up}{name(match[2])})" if outside else match[0]

    return OUTWARD.sub(inward, markdown)


def on_post_build(config: MkDocsConfig, **_options: Any) -> None:
    """Fail where a page loads something from another host."""
    for path in Path(config.site_dir).rglob("*"):
        if path.suffix in (".html", ".css"):
            pattern = LOADED if path.suffix == ".html" else LOADED_BY_STYLE
            for found in pattern.finditer(path.read_text(encoding="utf-8")):
                raise PluginError(f"{path.relative_to(config.site_dir)} loads from another host: {found[0]}")


def name(target: str) -> str:
    """Return the page of a file of the repository."""
    return f"source/{target.removesuffix('.md')}.md"
