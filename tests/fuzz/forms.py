"""The forms that pages show, as a browser would send them, and what can be wrong with what is sent."""

from __future__ import annotations

import random
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import parse_qsl, quote_plus, urlsplit

Fields = list[tuple[str, str]]

LONG = "a" * 300_000
WRONG = {
    "empty": "",
    "white space": " \t\r\n\u3000",
    "a word": "word",
    "negative": "-1",
    "zero": "0",
    "fraction": "1.5",
    "no number": "NaN",
    "infinite": "1e999",
    "too great for the database": "9" * 30,
    "too great for Python": "9" * 5_000,
    "other digits": "٣²",
    "NUL": "a\x00b",
    "half of a surrogate pair": "a\udc80b",
    "a list": '["a", {"b": [1]}]',
    "nested": "[" * 50_000,
    "a path": "../../etc/passwd",
    "a day that is not": "2026-02-31",
    "a formula": "=cmd|' /C calc'!A0",
    "long": LONG,
}


class Form(NamedTuple):
    """`fields` are those that a browser would send as the page was shown."""

    method: str
    path: str
    fields: tuple[tuple[str, str], ...]


class Sent(NamedTuple):
    """What is wrong, in words, and the body."""

    wrong: str
    body: bytes


class Forms(HTMLParser):
    """Collects the forms of a page, and the addresses with a query that it leads to as forms of GET."""

    def __init__(self, page: str, *, shown_at: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.shown_at, self.select, self.names = shown_at, "", Fields()
        self.action, self.method = shown_at, ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        name, value = known.get("name", ""), known.get("value", "")
        if tag == "a" and (query := urlsplit(known.get("href", ""))).query and not query.netloc:
            self.found.append(Form("GET", query.path or self.shown_at, tuple(parse_qsl(query.query))))
        elif tag == "form":
            self.method, self.names = known.get("method", "get").upper(), Fields()
            self.action = known.get("action") or self.shown_at
        elif tag == "select":
            self.select = name
            self.names.append((name, ""))
        elif tag == "option" and self.select and "selected" in known:
            self.names[-1] = (self.select, value)
        elif tag in ("input", "textarea", "button") and name and name != "csrfmiddlewaretoken":
            self.names.append((name, value or ("on" if known.get("type") == "checkbox" else "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.found.append(Form(self.method, urlsplit(self.action).path, tuple(self.names)))
        elif tag == "select":
            self.select = ""


def malformed(fields: Fields, *, others: list[str], most: int) -> Iterator[Sent]:
    """The fields with one thing wrong at a time, of each at most so many, chosen by chance but always the same.

    `others`: numbers of things that are not the sender's.
    """
    yield Sent("as it is", encoded(fields))
    yield Sent("nothing at all", b"")
    yield Sent("no form", b"\x89PNG\r\n\x1a\n\x00\xff=%zz&&==;")
    yield Sent("a thousand fields too many", encoded([*fields, *((f"more{n}", "1") for n in range(1_001))]))
    for name in dict.fromkeys(name for name, _value in fields):
        rest = [field for field in fields if field[0] != name]
        variants = [
            Sent(f"{name} missing", encoded(rest)),
            Sent(f"{name} twice", encoded([*fields, *fields, (name, "word")])),
            Sent(f"{name} not UTF-8", encoded(rest) + b"&" + quote_plus(name).encode() + b"=%ff%c0%80%ed%a0%80"),
            *(Sent(f"{name} {wrong}", encoded([*rest, (name, value)])) for wrong, value in WRONG.items()),
            *(Sent(f"{name} of others: {pk}", encoded([*rest, (name, pk)])) for pk in others),
        ]
        yield from random.Random(name).sample(variants, min(most, len(variants)))


def encoded(fields: Fields) -> bytes:
    pairs = (f"{quote_plus(name)}={quote_plus(value, errors='surrogatepass')}" for name, value in fields)
    return "&".join(pairs).encode()
