"""One HTML page that needs nothing but itself: no other host, no file beside it."""

import base64
import hashlib
from html import escape
from importlib import resources


def html_page(title: str, body: str, *, script: str = "") -> str:
    """Return a whole page: light or dark as its reader likes it, readable on a phone, and closed to the network.

    Its Content-Security-Policy allows pictures from ``data:`` and the given script alone. What the style sheet knows: ``<main>``,
    ``<section>``, ``.charts`` (a grid of ``<figure>``), ``.pictures`` (a grid of small ones), ``.figures`` (a ``<dl>`` of numbers),
    tables, ``.good``, ``.warning`` and ``.critical``.

    Args:
        title: plain text.
        body: HTML, escaped where it has to be.
        script: JavaScript, run when the page is there.
    """
    style = resources.files("aiohooks").joinpath("html_page.css").read_text(encoding="utf-8")
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {_permission(script)}; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # An icon of nothing: browsers ask for one otherwise.
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>\n{style}</style></head>\n"
        f"<body><main>\n{body}\n</main>{f'<script>{script}</script>' if script else ''}</body></html>\n"
    )


def _permission(script: str) -> str:
    """Return what a Content-Security-Policy says to allow this script alone (https://www.w3.org/TR/CSP3/#match-element-to-source-list)."""
    if not script:
        return "'none'"
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
