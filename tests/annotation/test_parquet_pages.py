"""Parquet files come in whatever their pages are like, unless one would have to be held that is too large."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from annotation import formats
from annotation.formats import UnreadableRow
from annotation.parquet_pages import NotAPage, pages_of

TEXTS = [f"{number} " * 50 for number in range(3_000)]


def written(texts: list[str] = TEXTS, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"prompt": texts}), file, **options)
    return file


def unpacked(file: io.BytesIO) -> formats.Pages:
    return formats._unpacked(file, pyarrow.parquet.ParquetFile(file).metadata)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("page", [4_096, 65_536])
def test_files_of_every_make_are_read(compression: str, version: str, page: int, *, dictionary: bool) -> None:
    file = written(
        compression=compression, data_page_version=version, data_page_size=page, use_dictionary=dictionary,
        row_group_size=1_000, write_page_checksum=dictionary, write_batch_size=8,
    )  # fmt: skip
    assert [row for _number, row in formats.read(file, "x.parquet")] == [{"prompt": text} for text in TEXTS]
    found = unpacked(file)
    assert found.dictionary > 0 if dictionary else 0 < found.largest <= 2 * page


def test_the_largest_page_is_as_large_as_its_texts() -> None:
    file = written(use_dictionary=False, data_page_size=1 << 30, row_group_size=1 << 20, max_rows_per_page=1 << 20)
    whole = sum(len(text) + 4 for text in TEXTS)
    assert whole <= unpacked(file).largest <= whole + 2_000


def test_a_page_too_large_to_hold_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MOST_UNPACKED", 1 << 18)
    huge = written(use_dictionary=False, data_page_size=1 << 30, max_rows_per_page=1 << 20)
    [(_line, refused)] = formats.read(huge, "x.parquet")
    assert isinstance(refused, UnreadableRow)
    assert "data_page_size" in str(refused)
    fine = written(use_dictionary=False, data_page_size=1 << 12)
    assert len(list(formats.read(fine, "x.parquet"))) == len(TEXTS)


def test_what_many_rows_repeat_is_unpacked_for_few_of_them_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    iter_batches = pyarrow.parquet.ParquetFile.iter_batches

    def spied(opened: Any, *, batch_size: int, **options: Any) -> Any:
        asked.append(batch_size)
        return iter_batches(opened, batch_size=batch_size, **options)

    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", spied)
    long = "x" * (1 << 20)
    assert sum(1 for _row in formats.read(written([long] * 300), "x.parquet")) == 300
    assert sum(1 for _row in formats.read(written(), "x.parquet")) == len(TEXTS)
    assert asked[0] <= formats.MOST_UNPACKED // len(long)
    assert asked[1] > asked[0]


def sets(*rows: list[str], **options: Any) -> io.BytesIO:
    """Each row lists texts of outputs, as a file holds them: every text once, and numbers that stand for it."""
    texts = pyarrow.array([text for row in rows for text in row]).dictionary_encode()
    flags = pyarrow.array([{"rude": "no"}] * len(texts), pyarrow.map_(pyarrow.string(), pyarrow.string()))
    ends = [sum(map(len, rows[:place])) for place in range(len(rows) + 1)]
    outputs = pyarrow.StructArray.from_arrays([texts.dictionary_decode(), flags], ["text", "flags"])
    lists = pyarrow.ListArray.from_arrays(pyarrow.array(ends, pyarrow.int32()), outputs)
    file = io.BytesIO()
    table = pyarrow.table({"prompt": ["Which?"] * len(rows), "completions": lists})
    pyarrow.parquet.write_table(table, file, **options)
    return file


@pytest.mark.parametrize(
    "options",
    [{"use_dictionary": False}, {"row_group_size": 7}, {"dictionary_pagesize_limit": 512, "data_page_size": 256}, {}],
    ids=["plain", "several groups", "a dictionary that is given up", "one dictionary"],
)
def test_lists_are_read_as_they_are_however_their_texts_are_written(options: dict[str, Any]) -> None:
    rows = [["a", f"output {number} " * 9, "a"] if number % 5 else [] for number in range(60)]
    file = sets(*rows, **options, write_batch_size=4)
    assert [row for _number, row in formats.read(file, "x.parquet")] == [
        {"prompt": "Which?", "completions": [{"text": text, "flags": {"rude": "no"}} for text in texts]}
        for texts in rows
    ]


def test_a_row_that_lists_one_long_text_many_times_is_refused_and_the_others_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(formats, "MOST_UNPACKED", 1 << 20)
    long = "x" * (1 << 17)
    file = sets(["a", "b"], [long] * 40, ["c", long])
    assert len(file.getvalue()) < 1 << 16
    first, refused, last = (row for _number, row in formats.read(file, "x.parquet"))
    assert isinstance(refused, UnreadableRow)
    assert "5 MB unpacked" in str(refused)
    assert [[each["text"][:1] for each in row["completions"]] for row in (first, last)] == [["a", "b"], ["c", "x"]]


def test_refusing_such_a_row_takes_no_memory_for_what_it_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "x" * (1 << 20)
    file = sets([long] * 100, ["a", "b"])
    system = pyarrow.system_memory_pool()
    counted = pyarrow.proxy_memory_pool(system)
    monkeypatch.setattr(pyarrow, "system_memory_pool", lambda: counted)
    tracemalloc.start()
    try:
        kinds = [type(row) for _number, row in formats.read(file, "x.parquet")]
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        pyarrow.set_memory_pool(system)
    assert kinds == [UnreadableRow, dict]
    assert peak + counted.max_memory() < 10 * len(long)


def test_a_group_whose_rows_may_list_too_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MOST_LISTED", 100)
    [(_line, refused)] = formats.read(sets(["a"] * 200, ["a"] * 2), "x.parquet")
    assert isinstance(refused, UnreadableRow)
    assert "may list 201 values" in str(refused)
    assert len(list(formats.read(sets(*[["a"] * 60] * 2, row_group_size=1), "x.parquet"))) == 2


def test_values_of_a_fixed_length_that_a_row_lists_many_times_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than a thousand bytes that would be a hundred megabytes, or any number of them."""
    long = pyarrow.array([b"x" * (1 << 20)], pyarrow.binary(1 << 20))
    lists = pyarrow.ListArray.from_arrays([0, 100], long.take(pyarrow.array([0] * 100)))
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"completions": lists}), file, compression="zstd")
    assert len(file.getvalue()) < 1_000
    system = pyarrow.system_memory_pool()
    counted = pyarrow.proxy_memory_pool(system)
    monkeypatch.setattr(pyarrow, "system_memory_pool", lambda: counted)
    try:
        [(_line, refused)] = formats.read(file, "x.parquet")
    finally:
        pyarrow.set_memory_pool(system)
    assert isinstance(refused, UnreadableRow)
    assert "may list 100 MB of values" in str(refused)
    assert counted.max_memory() < 10 << 20


def test_a_file_with_more_rows_than_bytes_is_refused_unless_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(["Why?"] * 5_000)
    assert sum(1 for _row in formats.read(file, "x.parquet")) == 5_000
    monkeypatch.setattr(formats, "FEW_ROWS", 1_000)
    [(_line, refused)] = formats.read(file, "x.parquet")
    assert isinstance(refused, UnreadableRow)
    assert f"5000 rows in {len(file.getvalue())} bytes" in str(refused)
    assert sum(1 for _row in formats.read(written(), "x.parquet")) == len(TEXTS)


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_a_file_of_too_many_columns_is_refused(name: str) -> None:
    """Each of its rows would be as wide, though it held nothing."""
    names = [f"c{number}" for number in range(formats.MOST_COLUMNS + 1)]
    parquet, as_csv = io.BytesIO(), io.BytesIO((",".join(names) + "\nx\n").encode())
    pyarrow.parquet.write_table(pyarrow.table([["x"]] * len(names), names=names), parquet)
    [(_line, refused)] = formats.read(as_csv if name == "x.csv" else parquet, name)
    assert isinstance(refused, UnreadableRow)
    assert "1001 columns; at most 1000" in str(refused)


@pytest.mark.parametrize("content", [b"", b"\x15", b"\xff" * 40, b"\x00", b"\x15\x00\x00", b"\x1c" * 100])
def test_what_is_no_page_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(NotAPage):
        pages_of(io.BytesIO(content), 0, max(1, len(content)))
