"""Many new rows at once, by PostgreSQL's COPY: a quarter of the work that INSERT makes of them, on both sides."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import Field, JSONField, Model

Row = TypeVar("Row", bound=Model)


def copied(rows: Iterable[Row]) -> list[Row]:
    """Keep these new rows, all of one model and a few thousand at most, and tell them their ids."""
    new = list(rows)
    if not new:
        return new
    meta = new[0]._meta
    fields: Sequence[Field[Any, Any]] = meta.concrete_fields
    columns = ", ".join(f'"{field.column}"' for field in fields)
    cells = [_cell(field) for field in fields]
    with connection.wrap_database_errors, connection.cursor() as cursor:
        cursor.execute(
            "select nextval(pg_get_serial_sequence(%s, 'id')) from generate_series(1, %s)", [meta.db_table, len(new)]
        )
        for row, (number,) in zip(new, cursor.fetchall(), strict=True):
            row.pk = number
        with cursor.copy(f'copy "{meta.db_table}" ({columns}) from stdin') as copy:
            for row in new:
                copy.write_row([cell(row) for cell in cells])
    for row in new:
        row._state.adding, row._state.db = False, connection.alias
    return new


def _cell(field: Field[Any, Any]) -> Callable[[Model], Any]:
    """What stands in a field's column: what the field makes of the row, as the text that PostgreSQL reads."""
    name = field.attname
    if isinstance(field, JSONField):
        return lambda row: json.dumps(getattr(row, name))
    if isinstance(field, ArrayField):  # of numbers, all of ours
        return lambda row: "{" + ",".join(map(str, getattr(row, name))) + "}"
    if getattr(field, "auto_now_add", False):
        return lambda row: field.pre_save(row, add=True)
    return lambda row: getattr(row, name)
