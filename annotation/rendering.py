"""Markdown that people and models wrote, as HTML that is safe to show.

Nothing in it can run, load a picture from elsewhere, or style the page: raw HTML is shown as text, and what the
renderer makes goes through an allow-list once more. What may be wider than its place, code and tables, scrolls by
itself and is reached with the keyboard.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import nh3
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, table
from markdown_it.token import Token

from annotation import mathematics

TAGS = mathematics.TAGS | {
    "a", "blockquote", "br", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p",
    "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
SCROLLS = {"aria-label", "role", "tabindex"}
ATTRIBUTES = mathematics.ATTRIBUTES | {
    "a": {"href", "title"}, "div": SCROLLS, "ol": {"start"}, "pre": SCROLLS,
}  # fmt: skip
SCHEMES = {"http", "https", "mailto"}
LINKS = "noopener noreferrer nofollow"
FEW_CELLS = 1_000
BELOW_THE_PAGE = 3  # the page has its own h1 and h2: headings in a text start under them


def _scrolls(tag: str, label: str) -> str:
    """A group and no region: a page shows many of them, and each region would be a landmark."""
    return f'<{tag} tabindex="0" role="group" aria-label="{escape(label)}">'


def _code(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return _scrolls("pre", _("Code")) + f"<code>{escape(tokens[index].content)}</code></pre>\n"


def _table(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return _scrolls("div", _("Table")) + "<table>\n"


def _table_end(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return "</table></div>\n"


def _modest_table(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 (as the parser has it)
    """Not one of far more cells than letters: a row of one letter gets as many cells as the heading has."""
    if not table(state, start, end, silent=True):
        return False
    last = next((line for line in range(start, end) if state.isEmpty(line)), end) - 1
    cells = state.src.count("|", state.bMarks[start], state.eMarks[start]) * (last - start)
    if cells > FEW_CELLS + state.eMarks[last] - state.bMarks[start]:
        return False
    return silent or table(state, start, end, silent)


def _leading_out(_tag: str, attribute: str, value: str) -> str | None:
    """A text links to other places alone, never to a page of ours or to none."""
    scheme = value.partition(":")[0].strip().lower()
    return value if attribute != "href" or scheme in SCHEMES else None


def _parsing() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
    parser.enable(["table", "strikethrough"]).disable("image")
    parser.block.ruler.at("table", _modest_table, {"alt": ["paragraph", "reference"]})
    rules = {"fence": _code, "code_block": _code, "table_open": _table, "table_close": _table_end}
    for name, rule in rules.items():
        parser.add_render_rule(name, rule)
    return mathematics.with_mathematics(parser)


_parser = _parsing()


def render(text: str) -> SafeString:
    """The text's Markdown as safe HTML. Single line breaks are kept, as people and models mean them."""
    tokens = _parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + BELOW_THE_PAGE - 1)}"
    html = _parser.renderer.render(tokens, _parser.options, {})
    clean = nh3.clean(
        html, tags=TAGS, attributes=ATTRIBUTES, url_schemes=SCHEMES, link_rel=LINKS, attribute_filter=_leading_out
    )
    return mark_safe(clean)  # noqa: S308 (nh3 has just cleaned it)
