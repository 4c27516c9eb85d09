"""Markdown that people and models wrote, as HTML that is safe to show.

Nothing in it can run, load a picture from elsewhere, or style the page: raw HTML is shown as text, and what the
renderer makes goes through an allow-list once more.
"""

from __future__ import annotations

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from annotation import mathematics

TAGS = mathematics.TAGS | {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = mathematics.ATTRIBUTES | {"a": {"href", "title"}, "ol": {"start"}}
SCHEMES = {"http", "https", "mailto"}
LINKS = "noopener noreferrer nofollow"
BELOW_THE_PAGE = 3  # the page has its own h1 and h2: headings in a text start under them

_parser = mathematics.with_mathematics(
    MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")
)


def render(text: str) -> SafeString:
    """The text's Markdown as safe HTML. Single line breaks are kept, as people and models mean them."""
    tokens = _parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + BELOW_THE_PAGE - 1)}"
    html = _parser.renderer.render(tokens, _parser.options, {})
    clean = nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES, url_schemes=SCHEMES, link_rel=LINKS)
    return mark_safe(clean)  # noqa: S308 (nh3 has just cleaned it)
