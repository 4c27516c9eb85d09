"""Rows as files and back: JSON lines, CSV, Parquet. Both ways row by row, so that size costs time and no memory.

CSV is for spreadsheets: a cell that one would run as a formula gets an apostrophe, which reading takes off again.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

from django.utils.translation import gettext as _
from orjson import OPT_APPEND_NEWLINE
from orjson import dumps as as_json

from annotation.adding import batched
from annotation.import_columns import STRUCTURED
from annotation.parquet_pages import NotAPage, Pages, pages_of
from annotation.parquet_sizes import most_bytes_listed, most_listed, rows_that_fit, texts_of_lists

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

Row = dict[str, Any]

FORMATS = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
BATCH = 1_000
MEGABYTE = 1024 * 1024
LONGEST_LINE = 8 * MEGABYTE
MOST_UNPACKED = 64 * MEGABYTE
MOST_LISTED = 16 * 1024 * 1024
MOST_COLUMNS = 1_000  # each row is as wide as the heading, however little of it there is
FEW_ROWS = 100_000  # as many as there may be though they take less than a byte each
CHUNK = 64 * 1024
PARQUET = "Parquet"
KINDS_BY_START = {
    b"PAR1": PARQUET, b"PK\x03\x04": "ZIP (XLSX)", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf": "7z", b"\x28\xb5\x2f\xfd": "zstd", b"Rar!": "RAR", b"%PDF": "PDF", b"\xd0\xcf\x11\xe0": "XLS",
    b"SQLite format": "SQLite", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x89PNG": "PNG", b"\x80\x04": "pickle",
}  # fmt: skip
BOM = "\ufeff"  # tells a spreadsheet that the file is UTF-8
RUNS_IN_A_SPREADSHEET = re.compile(r"'*(?:\s*[=+\-@＝＋－＠]|[\t\r\n])")  # full-width forms run too


class UnreadableRow(Exception):
    """A row of a file makes no sense; the message is translated."""


def write(rows: Iterable[Row], columns: Sequence[str], form: str) -> Iterator[bytes]:
    writers = {"jsonl": _write_jsonl, "csv": _write_csv, "parquet": _write_parquet}
    return writers[form](rows, columns)


def read(file: IO[bytes], name: str) -> Iterator[tuple[int, Row | UnreadableRow]]:
    """The rows with their line numbers (in Parquet: row numbers). What can't be read takes its row's place."""
    readers = {
        "jsonl": _read_jsonl,
        "json": _read_jsonl,
        "ndjson": _read_jsonl,
        "csv": _read_csv,
        "parquet": _read_parquet,
    }
    reader = readers.get(name.rpartition(".")[2].lower())
    if reader is None:
        found = _("The file's name is %(name)s; expected one that ends in .jsonl, .csv or .parquet.") % {"name": name}
        return iter([(0, UnreadableRow(found))])
    if (kind := _kind_of(file)) and not (kind == PARQUET and reader is _read_parquet):
        found = _("By its content the file is %(kind)s; expected JSON lines or CSV, in UTF-8, or Parquet.")
        return iter([(0, UnreadableRow(found % {"kind": kind}))])
    return reader(file)


def _kind_of(file: IO[bytes]) -> str:
    """What the file is by its first bytes, where it is none of texts."""
    before, start = file.tell(), file.read(max(map(len, KINDS_BY_START)))
    file.seek(before)
    return next((kind for beginning, kind in KINDS_BY_START.items() if start.startswith(beginning)), "")


# ── JSON lines ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _write_jsonl(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[bytes]:
    for batch in batched(rows, BATCH):
        yield b"".join(as_json({name: row.get(name) for name in columns}, option=OPT_APPEND_NEWLINE) for row in batch)


def _read_jsonl(file: IO[bytes]) -> Iterator[tuple[int, Row | UnreadableRow]]:
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            yield number, UnreadableRow(_("The line is longer than 8 MB; the rest of the file was not read."))
            return
        if line.strip():
            yield number, _parsed(line, first=number == 1)


def _parsed(line: bytes, *, first: bool) -> Row | UnreadableRow:
    try:
        row = json.loads(line.decode("utf-8-sig" if first else "utf-8"))
    except UnicodeDecodeError as error:
        return UnreadableRow(_("The line is not UTF-8: %(error)s.") % {"error": error})
    except (ValueError, RecursionError) as error:
        return UnreadableRow(_("The line is not JSON: %(error)s.") % {"error": error})
    if not isinstance(row, dict):
        return UnreadableRow(_("The line is not a JSON object."))
    return row


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _write_csv(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[bytes]:
    buffer = io.StringIO(newline="")
    buffer.write(BOM)
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(row.get(name)) for name in columns])
        if buffer.tell() > CHUNK:
            yield _emptied(buffer)
    yield _emptied(buffer)


def _emptied(buffer: io.StringIO) -> bytes:
    content = buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    return content


def cell(value: Any) -> Any:
    """A value as a spreadsheet shows it and does not run it."""
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and RUNS_IN_A_SPREADSHEET.match(value):
        return f"'{value}"
    return value


def _read_csv(file: IO[bytes]) -> Iterator[tuple[int, Row | UnreadableRow]]:
    csv.field_size_limit(LONGEST_LINE)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    lines = _Lines(text)
    reader = csv.DictReader(lines, restkey="", strict=True)
    number = 1
    try:
        if (columns := len(reader.fieldnames or ())) > MOST_COLUMNS:
            yield number, UnreadableRow(_too_wide(columns))
            return
        while reader.fieldnames:
            number, lines.taken = reader.line_num + 1, 0
            cells = next(reader, None)
            if cells is None:
                return
            yield number, _uncelled(cells)
    except UnicodeDecodeError:
        yield number, UnreadableRow(_("The file is not UTF-8; the rest of it was not read."))
    except csv.Error as error:
        yield number, UnreadableRow(_("The line is not CSV: %(error)s.") % {"error": error})
    finally:
        text.detach()


class _Lines:
    """The lines of a text; csv.Error where those `taken` for one row are longer than a line of JSON may be."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text, self.taken = text, 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.text.readline(LONGEST_LINE)
        self.taken += len(line)
        if self.taken >= LONGEST_LINE:
            raise csv.Error(_("it is longer than 8 MB; the rest of the file was not read"))
        if not line:
            raise StopIteration
        return line


def _uncelled(cells: dict[str, Any]) -> Row | UnreadableRow:
    if "" in cells:
        return UnreadableRow(_("The line has more cells than the heading."))
    row = {}
    for name, cell in cells.items():
        if cell:
            row[name] = _structured(name, cell) if name in STRUCTURED else _text(cell)
    return row


def _text(cell: str) -> str:
    return cell[1:] if cell[0] == "'" and RUNS_IN_A_SPREADSHEET.match(cell) else cell


def _structured(name: str, cell: str) -> Any:
    """A list where the cell is one, else its text; a prompt that is a list is one of messages."""
    try:
        value = json.loads(cell) if cell.startswith("[") else None
    except (ValueError, RecursionError):
        value = None
    whole = isinstance(value, list) and (name != "prompt" or all(isinstance(each, dict) for each in value))
    return value if whole else _text(cell)


# ── Parquet ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _write_parquet(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[bytes]:
    import pyarrow
    import pyarrow.parquet

    schema = _schema(columns)
    with tempfile.TemporaryFile() as file:
        with pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in batched(rows, BATCH):
                plain = [_columnar(row, columns) for row in batch]
                writer.write_batch(pyarrow.RecordBatch.from_pylist(plain, schema=schema))
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield chunk


def _schema(columns: Sequence[str]) -> pyarrow.Schema:
    """Texts, but for the columns named here."""
    import pyarrow as pa

    flags = pa.map_(pa.string(), pa.string())
    ranked = {
        "text": pa.string(), "rank": pa.int64(), "model": pa.string(), "rating": pa.int64(), "flags": flags,
        "acceptable": pa.bool_(),
    }  # fmt: skip
    types = {
        "prompt": pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
        "completions": pa.list_(pa.struct(ranked)),
        "id": pa.int64(), "ranking": pa.int64(), "guidelines": pa.int64(), "seconds": pa.float64(),
        "harmful": pa.bool_(),
    }  # fmt: skip
    return pa.schema([(name, types.get(name, pa.string())) for name in columns])


def _columnar(row: Row, columns: Sequence[str]) -> Row:
    """A column has one type, so a prompt is always messages here, and flags are pairs."""
    plain = {name: row.get(name) for name in columns}
    if isinstance(plain.get("prompt"), str):
        plain["prompt"] = [{"role": "user", "content": plain["prompt"]}]
    if completions := plain.get("completions"):
        plain["completions"] = [
            each | ({"flags": list(each["flags"].items())} if "flags" in each else {}) for each in completions
        ]
    return plain


def _read_parquet(file: IO[bytes]) -> Iterator[tuple[int, Row | UnreadableRow]]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # the default one keeps what is freed: three times the memory
    try:
        # Page by page: by default a whole group of rows would be in memory, and some files have but one.
        opened = pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=CHUNK)
        unpacked = _unpacked(file, opened.metadata)
        if too_much := _too_much(opened.metadata, unpacked, size=file.seek(0, io.SEEK_END)):
            yield 0, UnreadableRow(too_much)
            return
        lists = texts_of_lists(opened.metadata)
        opened = pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=CHUNK, read_dictionary=lists)
        batch_size = max(1, min(BATCH // 2, MOST_UNPACKED // max(1, unpacked.dictionary)))
        # Each group has a dictionary of its own, and Arrow makes no lists of values from two.
        groups = ([group] for group in range(opened.num_row_groups))
        batches = (opened.iter_batches(batch_size=batch_size, row_groups=group, use_threads=False) for group in groups)
        for part in rows_that_fit(chain.from_iterable(batches), MOST_UNPACKED):
            for row in [_too_large(part)] if isinstance(part, int) else part.to_pylist(maps_as_pydicts="lossy"):
                number += 1
                yield number, row if isinstance(row, UnreadableRow) else _without_nulls(row)
    except (pyarrow.ArrowException, OSError, NotAPage) as error:
        yield number + 1, UnreadableRow(_("This is not a Parquet file that can be read: %(error)s.") % {"error": error})


def _too_much(metadata: pyarrow.parquet.FileMetaData, unpacked: Pages, *, size: int) -> str:
    """Why a file of `size` bytes is not read, by what it says of itself; empty where it is."""
    if (columns := len(metadata.schema)) > MOST_COLUMNS:
        return _too_wide(columns)
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    if (rows := sum(group.num_rows for group in groups)) > max(size, FEW_ROWS):
        found = _(
            "This Parquet file has %(found)d rows in %(size)d bytes, so nearly all of them say the same. "
            "Bring each of them once."
        )
        return found % {"found": rows, "size": size}
    if unpacked.largest > MOST_UNPACKED:
        found = _(
            "This Parquet file has pages of %(found)d MB, which would have to be held in memory; at most %(most)d "
            "MB are. Write it with smaller pages (data_page_size in pyarrow), or bring it as JSON lines."
        )
        return found % {"found": unpacked.largest / MEGABYTE, "most": MOST_UNPACKED / MEGABYTE}
    if (listed := most_listed(metadata)) > MOST_LISTED:
        found = _(
            "A row of this Parquet file may list %(found)d values, which would have to be held in memory; at most "
            "%(most)d are. Write it with smaller groups of rows (row_group_size in pyarrow)."
        )
        return found % {"found": listed, "most": MOST_LISTED}
    if (listed := most_bytes_listed(metadata)) > MOST_UNPACKED:
        found = _(
            "A row of this Parquet file may list %(found)d MB of values, which would have to be held in memory; at "
            "most %(most)d MB are. Write it with smaller groups of rows (row_group_size in pyarrow)."
        )
        return found % {"found": listed / MEGABYTE, "most": MOST_UNPACKED / MEGABYTE}
    return ""


def _too_wide(columns: int) -> str:
    return _("The file has %(found)d columns; at most %(most)d are read.") % {"found": columns, "most": MOST_COLUMNS}


def _too_large(size: int) -> UnreadableRow:
    found = _("The row is %(found)d MB unpacked, as it repeats long texts; at most %(most)d MB are read.")
    return UnreadableRow(found % {"found": size / MEGABYTE, "most": MOST_UNPACKED / MEGABYTE})


def _unpacked(file: IO[bytes], metadata: pyarrow.parquet.FileMetaData) -> Pages:
    """What the columns of one group of rows need together, in the largest group.

    Values that are written as the beginning of the one before may be repeated as those of a dictionary are.
    """
    groups = [Pages(0, 0)]
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        columns = []
        for column in map(group.column, range(metadata.num_columns)):
            start = min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset)
            pages = pages_of(file, start, column.total_compressed_size)
            repeats = pages.largest if "DELTA_BYTE_ARRAY" in column.encodings else pages.dictionary
            columns.append(Pages(pages.largest, repeats))
        groups.append(Pages(sum(each.largest for each in columns), sum(each.dictionary for each in columns)))
    return Pages(max(each.largest for each in groups), max(each.dictionary for each in groups))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value
