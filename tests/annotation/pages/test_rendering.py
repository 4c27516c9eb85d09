from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from annotation.rendering import TAGS, render

SNIPPETS = (
    "<script>",
    "<img src=x onerror=y>",
    "](javascript:x)",
    "[a](",
    "![",
    "`",
    "<",
    ">",
    '"',
    "&",
    "\n",
    "# ",
    "|",
    "- ",
    "$",
    "$$",
    "\\(",
    "\\]",
    "\\text{",
    "\\href{javascript:x}{",
    "\\style{a}{",
    "}",
)


@settings(deadline=None)
@given(st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=8), max_size=30).map("".join))
@example("[a]() [b](/account/) [c](//example.org) [d](?x=1) [e](#f) [g](<  >)")
def test_whatever_is_written_only_allowed_tags_and_attributes_come_out(text: str) -> None:
    html = render(text)
    for name, attributes in re.findall(r"</?([a-zA-Z][\w-]*)([^>]*)>", html):
        assert name in TAGS
        assert not re.search(r"\b(on\w+|style|src|id|class)\s*=", re.sub(r'"[^"]*"', '""', attributes))
    assert not re.search(r'href="\s*(?!https?:|mailto:)', html)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("# Title", "<h3>Title</h3>"),
        ("3. c\n4. d", '<ol start="3">'),
        ("~~no~~ **yes**", "<s>no</s> <strong>yes</strong>"),
        ("| a |\n|---|\n| 1 |", "<td>1</td>"),
        ("```py\nx < 1\n```", "<code>x &lt; 1"),
        ("so $x^2$ it is", "<msup><mi>x</mi><mn>2</mn></msup>"),
        ("so \\(a<b\\) it is", '<math display="inline"><mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow></math>'),
        ("$$\n\\frac12\n= 0.5\n$$", '<math display="block">'),
        ("1. so\n\n   \\[x\\]\n", '<math display="block">'),
        ("in a line $$x$$ too", '<math display="block">'),
        ("`$x$`", "<code>$x$</code>"),
        ("from $5 to $10, or $20-$30", "from $5 to $10, or $20-$30"),
        ("\\$x$", "$x$"),
        ("no $\\unheardof{x}$ command", "<code>$\\unheardof{x}$</code>"),
        ("$$\nnever closed\n\n$", "$$<br>\nnever closed"),
        ("\\[\nclosed\\] too early\n\\]", "too early"),
        ("\\[\n\\]x\n\\[y\\]", '<math display="block">'),
        ("$\\text{<b>}$", "<mtext>&lt;b&gt;</mtext>"),
        ("<b>not bold</b>", "&lt;b&gt;not bold&lt;/b&gt;"),
    ],
)
def test_markdown_is_shown_as_people_mean_it(text: str, expected: str) -> None:
    assert expected in render(text)


@pytest.mark.parametrize(
    ("text", "label", "tag"),
    [
        ("```\nlong\n```", "Code", "pre"),
        ("    long", "Code", "pre"),
        ("| a |\n|---|\n| 1 |", "Table", "div"),
    ],
)
def test_what_may_scroll_is_reached_by_keyboard_and_has_a_name(text: str, label: str, tag: str) -> None:
    opened = re.search(rf"<{tag}([^>]*)>", render(text))
    assert opened is not None
    assert dict(re.findall(r'([\w-]+)="([^"]*)"', opened[1])) == {
        "tabindex": "0", "role": "group", "aria-label": label,
    }  # fmt: skip


@pytest.mark.parametrize("line", ["$$x\n", "\\[x\n", "> \\[x\n"])
def test_formulas_that_nobody_closes_are_not_read_again_for_each_line(line: str) -> None:
    """As many lines as an instruction may have."""
    begun = time.monotonic()
    assert "x" in render(line * (8_000 // len(line)))
    assert time.monotonic() - begun < 10


def test_a_table_of_far_more_cells_than_letters_is_shown_as_it_was_written() -> None:
    wide = "|a" * 200 + "|\n" + "|-" * 200 + "|\n"
    assert render(wide + "|b" * 200 + "|\n").count("<td>b") == 200
    assert "<td" not in render(wide + "a\n" * 300)
    assert render("|a|b|\n|-|-|\n" + "1\n" * 700).count("<td>") == 1_400


def test_a_link_leads_out_without_telling_where_from() -> None:
    assert 'rel="noopener noreferrer nofollow"' in render("[a](https://example.org)")


def test_a_picture_is_not_loaded_from_elsewhere() -> None:
    assert "<img" not in render("![a](https://example.org/a.png)")
