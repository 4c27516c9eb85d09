"""The verb and the database agree on what a ranking is: groups that hold each output shown exactly once."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.collection import submit_ranking
from annotation.models import Assignment, Item, ItemKind, Project, Ranking
from annotation.quality import pairwise_agreement
from annotation.refusals import Refused

SHOWN = st.lists(st.integers(1, 12), min_size=2, max_size=9, unique=True)
ANY_GROUPS = st.lists(st.lists(st.integers(1, 5), max_size=4), max_size=6)


@st.composite
def rankings(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    """An order shown, and groups that are a ranking of it."""
    shown = draw(SHOWN)
    order = draw(st.permutations(shown))
    cuts = [0, *sorted(draw(st.sets(st.integers(1, len(order) - 1)))), len(order)]
    return [list(order[start:end]) for start, end in zip(cuts, cuts[1:], strict=False)], shown


def database_accepts(groups: object, shown: list[int]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select annotation_orders_exactly(%s::jsonb, %s::bigint[])", [json.dumps(groups), shown])
        return bool(cursor.fetchone()[0])


def verb_accepts(groups: list[list[int]], shown: list[int]) -> bool:
    """Whether the verb gets as far as the database, which it may not use here."""
    assignment = Assignment(item=Item(kind=ItemKind.RANKING, project=Project()), shown=shown)
    with connection.execute_wrapper(_reached):
        try:
            submit_ranking(assignment, client_key=None, groups=groups, ratings={}, flags={})  # type: ignore[arg-type]
        except Refused:
            return False
        except _Reached:
            return True
    raise AssertionError("A submit always ends at the database or before.")


class _Reached(Exception):
    pass


def _reached(*_arguments: object) -> None:
    raise _Reached


@pytest.mark.django_db
class TestTheVerbAndTheDatabase:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(rankings())
    def test_accept_every_ranking(self, ranking: tuple[list[list[int]], list[int]]) -> None:
        assert database_accepts(*ranking)
        assert verb_accepts(*ranking)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(ANY_GROUPS, SHOWN)
    def test_accept_nothing_else(self, groups: list[list[int]], shown: list[int]) -> None:
        is_ranking = sorted(each for group in groups for each in group) == sorted(shown) and all(groups)
        assert database_accepts(groups, shown) == is_ranking
        assert verb_accepts(groups, shown) == is_ranking

    @pytest.mark.parametrize(
        "groups", [None, {}, 3, [], [[]], [None], [1, 2], [[1], 2], [[1], [2], []], [[1], [2], {}]]
    )
    def test_refuse_other_shapes(self, groups: object) -> None:
        assert not database_accepts(groups, [1, 2])

    def test_refuse_an_order_that_shows_an_output_twice(self) -> None:
        assert not database_accepts([[1], [2]], [1, 2, 2])


@given(rankings())
def test_ranks_count_groups_from_the_best(ranking: tuple[list[list[int]], list[int]]) -> None:
    groups, shown = ranking
    ranks = Ranking(groups=groups).ranks()
    assert sorted(ranks) == sorted(shown)
    assert set(ranks.values()) == set(range(1, len(groups) + 1))


@given(rankings())
def test_everybody_agrees_with_themselves(ranking: tuple[list[list[int]], list[int]]) -> None:
    groups, _shown = ranking
    pair = [Ranking(prompt_id=1, annotator_id=person, groups=groups) for person in (1, 2)]
    assert pairwise_agreement(pair).value == 1.0
