"""One worker at a time at a row, without a transaction: for what takes long and must not be done twice at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def alone(kind: int, row_id: int) -> Iterator[bool]:
    """Whether nobody else is at the row; `kind` is a class of advisory locks. The database drops the lock with the
    connection.
    """
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s, %s)", [kind, row_id])
        (got,) = cursor.fetchone()
    try:
        yield got
    finally:
        if got:
            with connection.cursor() as cursor:
                cursor.execute("select pg_advisory_unlock(%s, %s)", [kind, row_id])
