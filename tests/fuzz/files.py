"""Files as somebody might bring them: good rows, rows that are nearly right, and bytes that are no file at all."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pyarrow
import pyarrow.parquet
from hypothesis import strategies as st

Row = dict[str, Any]

COLUMNS = (
    "prompt", "completion", "completions", "messages", "conversations", "instruction", "input", "question", "context",
    "system", "chosen", "rejected", "chosen_model", "responses", "ranks", "response_1", "response_2", "rank_1",
    "score_1", "score_2", "preference", "language", "use_case", "kind", "split", "review", "harmful", "author",
    "annotator", "guidelines", "note", "seconds", "created_at", "text", "rank", "rating", "flags", "acceptable",
    "role", "content", "from", "value", "",
)  # fmt: skip

# Halves of surrogate pairs and NUL too: JSON can say both.
words = st.text(st.characters(codec=None), max_size=12)
plain = st.one_of(
    words,
    st.sampled_from(["en", "user", "assistant", "system", "train", "test", "yes", "true", "2026-01-01T00:00:00Z", "1"]),
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
)
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(COLUMNS), inner, max_size=4),
    max_leaves=12,
)
odd_rows = st.dictionaries(st.sampled_from(COLUMNS), values, max_size=6)

speech = st.text(max_size=20).map(lambda text: f"{text}.")
chats = st.lists(speech, min_size=1, max_size=5).map(
    lambda said: [
        {"role": ("user", "assistant")[place % 2], "content": text}
        for place, text in enumerate(said[: len(said) - 1 + len(said) % 2])
    ]
)
prompts = st.one_of(speech, chats)
about = st.fixed_dictionaries(
    {},
    optional={
        "use_case": st.sampled_from(["chat", "open_qa", "other"]),
        "review": st.sampled_from(["pending", "accepted", "rejected"]),
        "split": st.sampled_from(["train", "validation", "test"]),
        "harmful": st.booleans(),
        "created_at": st.datetimes().map(lambda when: when.isoformat() + "+00:00"),
    },
)
outputs = st.lists(
    st.fixed_dictionaries(
        {"text": speech, "rank": st.integers(1, 3)}, optional={"model": speech, "rating": st.integers(1, 7)}
    ),
    min_size=2, max_size=4, unique_by=lambda each: each["text"],
)  # fmt: skip
GOOD = {
    "instructions": st.builds(lambda row, more: row | more, st.fixed_dictionaries({"prompt": prompts}), about),
    "demonstrations": st.builds(
        lambda row, more: row | more, st.fixed_dictionaries({"prompt": prompts, "completion": speech}), about
    ),
    "completions": st.builds(
        lambda row, more: row | more, st.fixed_dictionaries({"prompt": prompts, "completions": outputs}), about
    ),
    "rankings": st.builds(
        lambda row, more: row | more,
        st.fixed_dictionaries({"prompt": prompts, "completions": outputs}, optional={"note": speech}),
        about,
    ),
}


def spoilt(row: Row, name: str, value: Any) -> Row:
    return row | {name: value}


def nearly_right(kind: str) -> st.SearchStrategy[Row]:
    return st.builds(spoilt, GOOD[kind], st.sampled_from(COLUMNS), values)


def as_jsonl(rows: list[Row]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def as_csv(rows: list[Row]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(names)
    for row in rows:
        cells = [row.get(name, "") for name in names]
        writer.writerow([each if isinstance(each, str) else json.dumps(each) for each in cells])
    return written.getvalue().encode("utf-8", "surrogatepass")


def as_parquet(rows: list[Row]) -> bytes:
    """Where Arrow finds no one type for a column, its values are texts."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["prompt"]
    columns = [_column([row.get(name) for row in rows]) for name in names]
    file = io.BytesIO()
    try:
        pyarrow.parquet.write_table(pyarrow.table(columns, names=names), file)
    except pyarrow.ArrowException:  # Parquet has no objects without anything in them
        file = io.BytesIO()
        texts = [pyarrow.array([json.dumps(row.get(name)) for row in rows]) for name in names]
        pyarrow.parquet.write_table(pyarrow.table(texts, names=names), file)
    return file.getvalue()


def _column(cells: list[Any]) -> pyarrow.Array:
    try:
        return pyarrow.array(cells)
    except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError):
        return pyarrow.array([json.dumps(each) for each in cells])


WRITERS = {"jsonl": as_jsonl, "csv": as_csv, "parquet": as_parquet}


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """With a few bytes changed, put in, or cut off, as broken disks and careless hands do it."""
    for _time in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(content)))
        put, gone = draw(st.binary(max_size=4)), draw(st.integers(0, 4))
        content = content[:place] + put + content[place + gone :]
    return content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content
