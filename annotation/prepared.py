"""Statements that are made once: planned once for each connection, and written once where a queryset writes them.

Planning a long one takes longer than carrying it out, and so does writing one of many columns. Behind a pool that hands
one connection to several servers by turns, set PREPARED_STATEMENTS=False: then they are planned like all others.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, Generic, NamedTuple, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.query import get_related_populators
from psycopg.types.numeric import Int8

PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?([s%])")

Record = TypeVar("Record", bound=Model)


class _Cursor(psycopg.RawCursor[tuple[Any, ...]]):
    """Binds values on the server, where Django's own cursors write them into the statement."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> _Cursor:
        super().execute(query, params, prepare=True, **options)
        return self

    def _convert_query(self, query: Any, params: Any = None) -> Any:
        self._query = super()._convert_query(query, params)  # where Django looks for what it logs
        return self._query


def rows(statement: str, values: Mapping[str, Any] | Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement, through whatever watches Django's cursors; its errors are Django's."""
    numbered, names = _numbered(statement)
    given = [values[name] for name in names] if isinstance(values, Mapping) else values
    # Of one size, or each size of numbers would be a statement of its own.
    sent = [Int8(value) if type(value) is int else value for value in given]
    # Django's own cursor sees to the connection.
    with connection.cursor(), connection._prepare_cursor(_Cursor(connection.connection)) as cursor:  # type: ignore[attr-defined]
        cursor.execute(numbered, sent)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


@cache
def _numbered(statement: str) -> tuple[str, list[str]]:
    """With $1, $2, … for what stands there as %s or %(name)s, and the names in their order."""
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        if found[2] == "%":
            return "%"
        return f"${names.setdefault(found[1] or f'%{len(names)}', len(names) + 1)}"

    return PLACEHOLDER.sub(number, statement), list(names)


class _Given(NamedTuple):
    """Stands among a statement's values for one that is given each time."""

    name: str


class Records(Generic[Record]):
    """Reads the records of a queryset whose SQL is written once. `make` gets an expression for each value it names.

    All else that it looks at, it looks at once: so nothing that changes from one request to the next.
    """

    def __init__(self, make: Callable[..., QuerySet[Record]]) -> None:
        self._make = make

    def first(self, **values: Any) -> Record | None:
        return next(iter(self.all(**values)), None)

    def all(self, **values: Any) -> list[Record]:
        """`values`: by the names of `make`'s arguments. One query, with what is selected beside them."""
        written = self._written
        sent = [values[each.name] if isinstance(each, _Given) else each for each in written.values]
        return [written.record(list(row)) for row in rows(written.statement, sent)]

    @cached_property
    def _written(self) -> _Written[Record]:
        given = {name: RawSQL("%s", (_Given(name),)) for name in inspect.signature(self._make).parameters}
        return _Written(self._make(**given).query.get_compiler(DEFAULT_DB_ALIAS))


class _Written(Generic[Record]):
    """What Django works out of a queryset each time it is asked for. It keeps no connection, as that is a thread's."""

    def __init__(self, compiler: Any) -> None:
        self.statement, self.values = compiler.as_sql()
        selected, info = compiler.select, compiler.klass_info
        self.converters = compiler.get_converters([expression for expression, _sql, _alias in selected])
        self.model: type[Record] = info["model"]
        self.columns = slice(info["select_fields"][0], info["select_fields"][-1] + 1)
        self.names = [expression.target.attname for expression, _sql, _alias in selected[self.columns]]
        # The stubs are of a later Django, where it takes one more.
        self.related = get_related_populators(info, selected, DEFAULT_DB_ALIAS)  # type: ignore[call-arg]

    def record(self, row: list[Any]) -> Record:
        for place, (converters, expression) in self.converters.items():
            for converted in converters:
                row[place] = converted(row[place], expression, connection)
        record = self.model.from_db(DEFAULT_DB_ALIAS, self.names, row[self.columns])
        for each in self.related:
            each.populate(row, record)
        return record
