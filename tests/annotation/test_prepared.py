"""Statements that are written once: they read what the queryset reads, for whatever values are given."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db.models import F
from django.test import Client
from django.utils import timezone

from annotation import prepared
from annotation.models import Assignment, Prompt
from annotation.prepared import Records, _numbered
from tests.world import World, make_prompt, make_ranking_item, taken


def fields(record: Any) -> dict[str, Any]:
    return {field.attname: getattr(record, field.attname) for field in record._meta.concrete_fields}


def test_records_are_those_of_the_queryset_with_what_it_selects_beside_them(
    world: World, django_assert_num_queries: Any
) -> None:
    make_ranking_item(world.project)
    held = taken(world.project, world.alice)
    reading = Records(lambda pk: Assignment.objects.whole().filter(pk=pk))
    for _again in range(2):
        with django_assert_num_queries(1):
            read = reading.first(pk=held.pk)
            assert read is not None
            assert (read.item.project, read.guidelines) == (world.project, held.guidelines)
        plain = Assignment.objects.whole().get(pk=held.pk)
        assert read.item.prompt is not None
        assert plain.item.prompt is not None
        assert fields(read) == fields(plain)
        assert fields(read.item) == fields(plain.item)
        assert fields(read.item.project) == fields(plain.item.project)
        assert fields(read.item.prompt) == fields(plain.item.prompt)


def test_what_is_missing_beside_a_record_is_none(world: World) -> None:
    prompt = make_prompt(world.project)
    Prompt.objects.filter(pk=prompt.pk).update(author=None)
    read = Records(lambda pk: Prompt.objects.filter(pk=pk).select_related("author")).first(pk=prompt.pk)
    assert read is not None
    assert read.author is None


def test_each_reading_is_of_the_values_that_it_is_given(world: World) -> None:
    one, other = make_prompt(world.project, "One?"), make_prompt(world.project, "Other?")
    reading = Records(lambda project, pk: Prompt.objects.filter(project=project, pk=pk, harmful=False))
    assert reading.first(project=world.project.pk, pk=one.pk) == one
    assert reading.first(project=world.project.pk, pk=other.pk) == other
    assert reading.first(project=world.next_door.pk, pk=one.pk) is None
    Prompt.objects.filter(pk=one.pk).update(harmful=True)
    assert reading.all(project=world.project.pk, pk=one.pk) == []


def test_all_are_read_in_the_querysets_order(world: World) -> None:
    made = [make_prompt(world.project, f"Number {number}?") for number in range(3)]
    reading = Records(lambda project: Prompt.objects.filter(project=project).order_by(F("pk").desc()))
    assert reading.all(project=world.project.pk) == made[::-1]


def test_a_value_that_would_be_sql_is_a_value(world: World) -> None:
    prompt = make_prompt(world.project, "One?")
    Prompt.objects.filter(pk=prompt.pk).update(language="' or true --")
    reading = Records(lambda language: Prompt.objects.filter(language=language))
    assert reading.all(language="' or true") == []
    assert reading.all(language="' or true --") == [prompt]


@pytest.mark.parametrize(
    ("statement", "numbered", "names"),
    [
        ("select %(b)s, %(a)s, %(b)s", "select $1, $2, $1", ["b", "a"]),
        ("select %s, %s", "select $1, $2", ["%0", "%1"]),
        ("select 'x' like 'x%%', %(a)s::int", "select 'x' like 'x%', $1::int", ["a"]),
        ("select 1", "select 1", []),
    ],
)
def test_values_are_numbered_as_postgresql_counts_them(statement: str, numbered: str, names: list[str]) -> None:
    assert _numbered(statement) == (numbered, names)


@pytest.mark.django_db
def test_rows_take_values_by_name_or_in_order() -> None:
    assert prepared.rows("select %(b)s - %(a)s, %(b)s, 7 %% 4", {"a": 3, "b": 10}) == [(7, 10, 3)]
    assert prepared.rows("select %s::text, %s::int[]", ["50%", [1, 2]]) == [("50%", [1, 2])]


class TestWhoAsks:
    def signed_in(self, client: Client) -> bool:
        return client.get("/").status_code == 200

    def test_a_session_ends_when_its_time_is_up(self, world: World, client: Client) -> None:
        client.force_login(world.alice)
        assert self.signed_in(client)
        Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
        assert not self.signed_in(client)

    def test_a_session_that_was_ended_elsewhere_is_none(self, world: World, client: Client) -> None:
        client.force_login(world.alice)
        Session.objects.all().delete()
        assert not self.signed_in(client)

    def test_who_may_not_sign_in_any_more_is_nobody_at_once(self, world: World, client: Client) -> None:
        client.force_login(world.alice)
        world.alice.is_active = False
        world.alice.save()
        assert not self.signed_in(client)
