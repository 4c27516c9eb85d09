r"""LaTeX in Markdown as MathML: $…$ and \(…\) in a line, $$…$$ and \[…\] set apart.

A dollar is a price unless two of them stand around something like a formula, by Pandoc's rule: no space after the first
or before the second, no digit after the second. What is no LaTeX that we know is shown as it was written.
"""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Any
from xml.etree.ElementTree import Element, tostring

from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

TAGS = {
    "math", "menclose", "mfrac", "mi", "mn", "mo", "mover", "mpadded", "mphantom", "mroot", "mrow", "mspace", "msqrt",
    "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover",
}  # fmt: skip
ATTRIBUTES = {
    "math": {"display"},
    "menclose": {"notation"},
    "mi": {"mathvariant"},
    "mo": {"fence", "form", "stretchy"},
    "mover": {"accent"},
    "mspace": {"width"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "mtable": {"columnspacing", "displaystyle", "rowspacing"},
    "mtd": {"columnalign"},
}
LONGEST = 2_000
CLOSING = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}
APART = ("\\[", "$$")
DOLLARS = re.compile(r"\$(?![\s$])((?:\\.|[^$\\\n])+)(?<!\s)\$(?!\d)")


def with_mathematics(parser: MarkdownIt) -> MarkdownIt:
    parser.inline.ruler.before("escape", "formula", _in_line)
    parser.block.ruler.before("fence", "formula", _apart, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.add_render_rule("formula", _rendered)
    return parser


def as_mathml(latex: str, *, apart: bool = False) -> str | None:
    """None for what is no LaTeX that we know."""
    if len(latex) > LONGEST:
        return None
    try:
        formula = convert_to_element(latex, display="block" if apart else "inline")
    except Exception:  # the converter's errors have no common base, and deep nesting is a RecursionError
        return None
    if any(_unknown(part) for part in formula.iter()):
        return None
    return tostring(formula, encoding="unicode", short_empty_elements=False)


def _unknown(part: Element) -> bool:
    """A command that the converter has left as it was; its texts are entities, which are to be written only once."""
    part.text = text = unescape(part.text or "")
    return text.startswith("\\") and len(text) > 1


def _in_line(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 (the parser's signature)
    start = state.pos
    opening = state.src[start : start + 2]
    if closing := CLOSING.get(opening):
        end = state.src.find(closing, start + 2, state.posMax)
        found = (state.src[start + 2 : end], end + 2) if end > start + 2 else None
    else:
        match = DOLLARS.match(state.src, start, state.posMax) if opening[:1] == "$" else None
        found = (match.group(1), match.end()) if match else None
    if found is None:
        return False
    latex, state.pos = found
    if not silent:
        _push(state, latex, state.src[start : state.pos], apart=opening in APART)
    return True


def _apart(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 (the parser's signature)
    """A formula of one or more lines. One that ends within a line belongs to the paragraph.

    Asked of every line, so it is kept from which lines none begins: or each would be read to its end, and that is slow.
    """
    opening = state.src[(first := state.bMarks[start] + state.tShift[start]) : first + 2]
    if opening not in APART or state.is_code_block(start):
        return False
    closing, none_before = CLOSING[opening], state.env.setdefault("no formula", {})
    if start < none_before.get((opening, state.blkIndent), 0):
        return False
    lines = _lines_until(closing, state, start, end)
    written, last = "\n".join(lines), lines[-1][2 if len(lines) == 1 else 0 :]
    if not last.endswith(closing) or closing in last[:-2] or len(written) == len(opening + closing):
        none_before[opening, state.blkIndent] = start + len(lines) - 1
        return False
    if not silent:
        state.line = start + len(lines)
        _push(state, written[2:-2], written, apart=True)
    return True


def _lines_until(closing: str, state: StateBlock, start: int, end: int) -> list[str]:
    """From the opening to the first line that holds the closing, or to the last that could."""
    lines: list[str] = []
    for line in range(start, end):
        if state.isEmpty(line) or (line > start and state.sCount[line] < state.blkIndent):
            break
        lines.append(state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip())
        if closing in lines[-1][2 if line == start else 0 :]:
            break
    return lines


def _push(state: StateInline | StateBlock, latex: str, written: str, *, apart: bool) -> None:
    token = state.push("formula", "math", 0)
    token.content, token.markup, token.meta = latex, written, {"apart": apart}


def _rendered(_renderer: Any, tokens: Any, at: int, _options: Any, _env: Any) -> str:
    token = tokens[at]
    return as_mathml(token.content, apart=token.meta["apart"]) or f"<code>{escape(token.markup)}</code>"
