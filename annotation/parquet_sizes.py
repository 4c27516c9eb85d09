"""How large rows of a Parquet file are once unpacked, told while a value that they repeat is still in memory once.

A few bytes of a file can say that a list holds one long text a million times over. So the texts of lists are read as
Arrow's dictionaries, whose entries are numbers, and only what is small enough is made into Python's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet


def texts_of_lists(metadata: pyarrow.parquet.FileMetaData) -> list[str]:
    """The columns of texts that a row may hold several of."""
    columns = map(metadata.schema.column, range(len(metadata.schema)))
    return [each.path for each in columns if each.max_repetition_level and each.physical_type == "BYTE_ARRAY"]


def most_listed(metadata: pyarrow.parquet.FileMetaData) -> int:
    """How many values one row may list at most, as far as the file's end tells: all that its group has to spare."""
    most = 1
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        columns = map(group.column, range(group.num_columns))
        most = max([most, *(each.num_values - group.num_rows + 1 for each in columns)])
    return most


def most_bytes_listed(metadata: pyarrow.parquet.FileMetaData) -> int:
    """The same in bytes, of values of a fixed length: Arrow repeats those, and reads them as no dictionary."""
    most = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for place, described in enumerate(map(metadata.schema.column, range(group.num_columns))):
            if described.max_repetition_level and described.physical_type == "FIXED_LEN_BYTE_ARRAY":
                most = max(most, (group.column(place).num_values - group.num_rows + 1) * described.length)
    return most


def rows_that_fit(batches: Iterable[pyarrow.RecordBatch], most: int) -> Iterator[pyarrow.RecordBatch | int]:
    """The batches; one that is larger unpacked than `most` bytes row by row, and for a row too large its size."""
    for batch in batches:
        if unpacked_size(batch) <= most:
            yield batch
            continue
        for row in (batch.slice(place, 1) for place in range(batch.num_rows)):
            size = unpacked_size(row)
            yield row if size <= most else size


def unpacked_size(batch: pyarrow.RecordBatch) -> int:
    """In bytes, each value counted as often as it is repeated."""
    return sum(map(_size, batch.columns))


def _size(array: pyarrow.Array) -> int:
    import pyarrow.compute
    from pyarrow import types

    kind = array.type
    if types.is_dictionary(kind) and (types.is_string(kind.value_type) or types.is_binary(kind.value_type)):
        lengths = pyarrow.compute.binary_length(array.dictionary)
        return pyarrow.compute.sum(pyarrow.compute.take(lengths, array.indices)).as_py() or 0
    if types.is_map(kind):
        first, last = array.offsets[0].as_py(), array.offsets[-1].as_py()
        return sum(_size(part.slice(first, last - first)) for part in (array.keys, array.items))
    if types.is_list(kind) or types.is_large_list(kind):
        return _size(array.flatten())
    if types.is_struct(kind):
        return sum(map(_size, array.flatten()))
    return int(array.nbytes)
