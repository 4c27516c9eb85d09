"""What all web processes remember together: in a table of the database, or in the Redis of a team.

As JSON, where Django would pickle it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection

SWEPT_EVERY = 500  # writes, by chance

GET = "select value from plumbline_config_cache where key = %s and (expires_at is null or expires_at > now())"
SET = """
insert into plumbline_config_cache (key, value, expires_at) values (%s, %s::jsonb, %s)
on conflict (key) do update set value = excluded.value, expires_at = excluded.expires_at returning 1
"""
ADD = """
insert into plumbline_config_cache (key, value, expires_at) values (%s, %s::jsonb, %s)
on conflict (key) do update set value = excluded.value, expires_at = excluded.expires_at
where plumbline_config_cache.expires_at <= now() returning 1
"""
COUNT = """
update plumbline_config_cache set value = to_jsonb(value::bigint + %s)
where key = %s and (expires_at is null or expires_at > now()) returning value
"""
TOUCH = """
update plumbline_config_cache set expires_at = %s
where key = %s and (expires_at is null or expires_at > now()) returning 1
"""


class Json:
    """Lists come back as lists, and tuples too; anything that JSON can't hold is refused."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, stored: bytes) -> Any:
        return json.loads(stored)


class Table(BaseCache):
    """Rows of `plumbline_config_cache`. Each method is one statement, so that no two processes can come between."""

    def __init__(self, location: str, params: Mapping[str, Any]) -> None:
        super().__init__(dict(params))

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Whether there was none."""
        self._sweep()
        return self._one(ADD, self._row(key, value, timeout, version)) is not None

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._sweep()
        self._one(SET, self._row(key, value, timeout, version))

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        found = self._one(GET, [self._key(key, version)])
        return default if found is None else json.loads(found[0])

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """The new number. ValueError, as everywhere in Django, where there is none."""
        found = self._one(COUNT, [delta, self._key(key, version)])
        if found is None:
            raise ValueError(f"The key {key!r} is not there.")
        return int(found[0])

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self._one(TOUCH, [self._expires_at(timeout), self._key(key, version)]) is not None

    def delete(self, key: str, version: int | None = None) -> bool:
        statement = "delete from plumbline_config_cache where key = %s returning 1"
        return self._one(statement, [self._key(key, version)]) is not None

    def clear(self) -> None:
        self._one("delete from plumbline_config_cache", [])

    def _sweep(self) -> None:
        if random.randrange(SWEPT_EVERY) == 0:  # noqa: S311 (when to sweep is no secret)
            self._one("delete from plumbline_config_cache where expires_at <= now()", [])

    def _row(self, key: str, value: Any, timeout: Any, version: int | None) -> list[Any]:
        return [self._key(key, version), json.dumps(value), self._expires_at(timeout)]

    def _key(self, key: str, version: int | None) -> str:
        return self.make_and_validate_key(key, version=version)

    def _expires_at(self, timeout: Any) -> datetime | None:
        until = self.get_backend_timeout(timeout)
        return None if until is None else datetime.fromtimestamp(until, UTC)

    def _one(self, statement: str, values: list[Any]) -> tuple[Any, ...] | None:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            row: tuple[Any, ...] | None = cursor.fetchone() if cursor.description else None
            return row
