"""What the web processes remember together, in the database."""

from __future__ import annotations

import time

import pytest
from django.conf import settings
from django.db import connection

from config.cache import Table

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair() -> tuple[Table, Table]:
    """The caches of two processes."""
    return Table("", {}), Table("", {})


def test_is_used_where_no_redis_is_given() -> None:
    assert settings.CACHES["default"]["BACKEND"] == "config.cache.Table"


def test_what_one_keeps_the_other_finds(pair: tuple[Table, Table]) -> None:
    one, other = pair
    one.set("failed", [1.5, 2.5])
    assert other.get("failed") == [1.5, 2.5]
    assert other.get("unknown", "nothing") == "nothing"
    assert (other.delete("failed"), other.delete("failed")) == (True, False)
    assert one.get("failed") is None


def test_only_one_of_them_gets_a_lock(pair: tuple[Table, Table]) -> None:
    one, other = pair
    assert (one.add("lock", value=True), other.add("lock", value=True)) == (True, False)


def test_they_count_together(pair: tuple[Table, Table]) -> None:
    one, other = pair
    one.set("count", 1)
    assert (one.incr("count"), other.incr("count", 5)) == (2, 7)
    with pytest.raises(ValueError, match="not there"):
        one.incr("unknown")


@pytest.mark.django_db(transaction=True)
def test_what_has_expired_is_gone_and_makes_room(pair: tuple[Table, Table]) -> None:
    one, other = pair
    one.set("short", 1, timeout=0.05)
    one.set("lasting", 1, timeout=None)
    assert other.touch("lasting", timeout=60)
    time.sleep(0.1)
    assert (other.get("short"), other.get("lasting")) == (None, 1)
    with pytest.raises(ValueError, match="not there"):
        other.incr("short")
    assert not other.touch("short")
    assert other.add("short", 2)
    one.clear()


def test_values_are_json_and_nothing_else(pair: tuple[Table, Table]) -> None:
    one, _other = pair
    with pytest.raises(TypeError):
        one.set("object", object())
    one.set("text", "x")
    with connection.cursor() as cursor:
        cursor.execute("select value::text from plumbline_config_cache where key like '%text'")
        assert cursor.fetchone() == ('"x"',)
