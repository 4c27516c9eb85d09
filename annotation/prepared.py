"""Long statements that PostgreSQL plans once for each connection: planning them takes longer than carrying them out.

Behind a pool that hands one connection to several servers by turns, set PREPARED_STATEMENTS=False: then they are sent
like all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection
from psycopg.types.numeric import Int8


class _Cursor(psycopg.Cursor[tuple[Any, ...]]):
    """Binds values on the server, where Django's own cursors write them into the statement."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> _Cursor:
        super().execute(query, params, prepare=True, **options)
        return self

    def _convert_query(self, query: Any, params: Any = None) -> Any:
        self._query = super()._convert_query(query, params)  # where Django looks for what it logs
        return self._query


def rows(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement, through whatever watches Django's cursors; its errors are Django's."""
    # Of one size, or each size of numbers would be a statement of its own.
    sent = {name: Int8(value) if type(value) is int else value for name, value in values.items()}
    # Django's own cursor sees to the connection.
    with connection.cursor(), connection._prepare_cursor(_Cursor(connection.connection)) as cursor:  # type: ignore[attr-defined]
        cursor.execute(statement, sent)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
