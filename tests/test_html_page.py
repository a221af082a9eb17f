"""Pages that stand alone."""

import base64
import hashlib
from html.parser import HTMLParser

from aiohooks.html_page import html_page


class Seen(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def policy_of(page: str) -> str:
    (policy,) = [a["content"] for tag, a in Seen(page).tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    return policy


def test_only_its_own_script_may_run() -> None:
    script = "document.title = 'ready'"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy_of(html_page("t", "", script=script))
    assert "script-src 'none';" in policy_of(html_page("t", ""))


def test_the_title_is_text_and_nothing_is_fetched() -> None:
    page = html_page("</title><script>alert(1)</script>", "<p>body</p>")
    seen = Seen(page)
    assert "script" not in [tag for tag, _ in seen.tags]
    assert not [
        a for _, a in seen.tags for name in ("src", "href") if not str(a.get(name, "data:")).startswith("data:")
    ]
    assert "url(" not in page
    assert "@import" not in page
