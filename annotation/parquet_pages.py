"""How large the pages of a Parquet file are, told from their headers without unpacking them.

Reading a column holds one page at a time, unpacked. The footer says only how large all pages of a column are together,
so the headers are read: Thrift's compact protocol, of which a page header uses a few types
(https://github.com/apache/parquet-format, PageHeader: 2 is the size unpacked, 3 the size in the file).
"""

from __future__ import annotations

from typing import IO, NamedTuple

HEADER = 4_096
LONGEST_HEADER = 1 << 20  # statistics of a page may hold two of its values
DICTIONARY_PAGE = 2
INTEGERS = (4, 5, 6)
BOOLEANS = (1, 2)
BYTE, DOUBLE, BINARY, LIST, SET, STRUCT = 3, 7, 8, 9, 10, 12
MOST_NESTED = 8


class NotAPage(ValueError):
    """The bytes are no page header."""


class Pages(NamedTuple):
    """Bytes of the largest page, unpacked, and of the dictionary, whose values any number of rows may repeat."""

    largest: int
    dictionary: int


def pages_of(file: IO[bytes], start: int, length: int) -> Pages:
    """Of the column whose pages take up `length` bytes of the file from `start`. The file stays where it was."""
    before, place, found = file.tell(), start, Pages(0, 0)
    try:
        while place < start + length:
            header = _header(file, place, start + length - place)
            is_dictionary = header.kind == DICTIONARY_PAGE
            found = Pages(max(found.largest, header.unpacked), header.unpacked if is_dictionary else found.dictionary)
            place += header.place + header.packed
    finally:
        file.seek(before)
    return found


def _header(file: IO[bytes], place: int, most: int) -> _Header:
    file.seek(place)
    start = file.read(min(HEADER, most))
    try:
        return _Header(start)
    except NotAPage:
        if most <= HEADER:
            raise
        return _Header(start + file.read(min(LONGEST_HEADER, most) - HEADER))


class _Header:
    """Reads itself; `place` is then behind it."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0
        found: dict[int, int] = {}
        self._struct(found, depth=0)
        self.kind, self.unpacked, self.packed = (found.get(number, -1) for number in (1, 2, 3))
        if self.unpacked < 0 or self.packed < 0:
            raise NotAPage("a page header without its sizes")

    def _struct(self, found: dict[int, int] | None, *, depth: int) -> None:
        if depth > MOST_NESTED:
            raise NotAPage("a page header that is nested too deeply")
        number = 0
        while (head := self._byte()) != 0:
            kind = head & 0x0F
            number = number + (head >> 4) if head >> 4 else self._integer()
            value = self._value(kind, depth=depth)
            if found is not None and kind in INTEGERS:
                found[number] = value

    def _value(self, kind: int, *, depth: int, in_list: bool = False) -> int:
        if kind in BOOLEANS:
            return self._byte() if in_list else 0
        if kind in INTEGERS:
            return self._integer()
        if kind in (LIST, SET):
            self._list(depth=depth)
        elif kind == STRUCT:
            self._struct(None, depth=depth + 1)
        elif kind in (BYTE, DOUBLE, BINARY):
            self._skip({BYTE: 1, DOUBLE: 8}.get(kind) or self._unsigned())
        else:
            raise NotAPage(f"a field of the unknown type {kind}")
        return 0

    def _list(self, *, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._unsigned()
        if count > len(self.content):
            raise NotAPage("a list longer than the header")
        for _each in range(count):
            self._value(head & 0x0F, depth=depth, in_list=True)

    def _integer(self) -> int:
        """Zigzag."""
        found = self._unsigned()
        return (found >> 1) ^ -(found & 1)

    def _unsigned(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return found
            if shift > 63:
                raise NotAPage("a number that does not end")

    def _byte(self) -> int:
        if self.place >= len(self.content):
            raise NotAPage("a page header that is cut off")
        self.place += 1
        return self.content[self.place - 1]

    def _skip(self, count: int) -> None:
        self.place += count
