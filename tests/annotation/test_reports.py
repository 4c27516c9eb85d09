"""Reports of large projects: made by a worker, kept, made anew when asked for or when they are old."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from annotation import erasing, reports
from annotation.models import Report, ReportKind
from annotation.quality.report import WhatIf
from tests.annotation.quality.scene import make_study
from tests.processes import wait_for, worker
from tests.world import World, make_ranking_item, rank, taken

QUALITY = ReportKind.QUALITY


@pytest.fixture
def large(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project of thirty rankings, where ten are many."""
    monkeypatch.setattr(reports, "AT_ONCE", 10)
    make_study(world, prompts=10)
    return world


def made(world: World, question: dict[str, Any] | None = None, kind: ReportKind = QUALITY) -> Report:
    asked = reports.ask(world.project, kind, question or {})
    reports.make(asked.pk)
    return reports.find(world.project, kind, question or {})


def later(report: Report, *, by: timedelta) -> None:
    Report.objects.filter(pk=report.pk).update(made_at=timezone.now() - by)


def waiting() -> list[tuple[str, dict[str, Any]]]:
    reports.sweep()
    return list(Report.objects.waiting().values_list("kind", "question"))


def test_a_small_project_is_answered_at_once_and_nothing_is_kept(world: World) -> None:
    make_study(world, prompts=10)
    for found in (reports.find(world.project, QUALITY, {}), reports.ask(world.project, QUALITY, {})):
        assert found.figures is not None
        assert found.figures["report"]["rankings"] == 30
    assert waiting() == []
    assert not Report.objects.exists()


def test_looking_at_a_large_project_changes_nothing_and_asking_has_it_made_once(large: World) -> None:
    assert reports.find(large.project, QUALITY, {}).figures is None
    assert not Report.objects.exists()
    asked = [reports.ask(large.project, QUALITY, {}) for _time in range(2)]
    assert (asked[0].pk, asked[0].asked_at) == (asked[1].pk, asked[1].asked_at)
    reports.make(asked[0].pk)
    kept = reports.find(large.project, QUALITY, {})
    assert kept.figures is not None
    assert (kept.is_waiting, kept.figures["report"]["rankings"]) == (False, 30)
    reports.make(asked[0].pk)  # a message that came twice
    assert reports.find(large.project, QUALITY, {}).made_at == kept.made_at


def test_what_is_kept_is_what_would_be_made_at_once(large: World, monkeypatch: pytest.MonkeyPatch) -> None:
    what_if = WhatIf(frozenset({large.bob.pk}), frozenset({"chat"}), timezone.localdate() - timedelta(days=6))
    questions = [(QUALITY, {}), (QUALITY, what_if.as_question()), (ReportKind.LEADERBOARD, {"use_case": "open_qa"})]
    kept = [made(large, question, kind).figures for kind, question in questions]
    monkeypatch.setattr(reports, "AT_ONCE", 100)
    assert kept == [reports.find(large.project, kind, question).figures for kind, question in questions]
    assert kept[1] is not None
    assert kept[1]["report"]["rankings"] < kept[1]["whole"]["rankings"] == 30


def test_a_question_is_the_same_however_it_is_put() -> None:
    asked = WhatIf(frozenset({3, "kim", None}), frozenset({"chat"}), until=timezone.localdate())
    assert WhatIf.asked(asked.as_question()) == asked
    assert WhatIf().as_question() == {}


def test_the_clock_has_a_report_made_and_made_anew_once_it_is_old_and_something_was_done(large: World) -> None:
    assert sorted(waiting()) == [("leaderboard", {}), ("quality", {})]
    for report in Report.objects.waiting():
        reports.make(report.pk)
    assert waiting() == []
    later(reports.find(large.project, QUALITY, {}), by=reports.OLD)
    assert waiting() == []  # nobody has done anything since
    make_ranking_item(large.project)
    rank(taken(large.project, large.alice))
    assert waiting() == [("quality", {})]


def test_a_question_that_nobody_asks_any_more_is_forgotten(large: World) -> None:
    for question in ({}, {"use_cases": ["chat"]}):
        later(made(large, question), by=reports.KEPT)
    reports.sweep()
    assert [report.question for report in Report.objects.filter(kind=QUALITY)] == [{}]


def test_what_fails_says_why_and_is_made_when_it_is_asked_for_again(
    large: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_asked: object) -> None:
        raise MemoryError("no room")

    asked = reports.ask(large.project, QUALITY, {})
    with monkeypatch.context() as broken:
        broken.setitem(reports.MAKERS, QUALITY, fail)
        with pytest.raises(MemoryError):
            reports.make(asked.pk)
    found = reports.find(large.project, QUALITY, {})
    assert (found.is_waiting, found.failure) == (False, "MemoryError: no room")
    assert ("quality", {}) not in waiting()
    assert (made(large).failure, made(large).is_waiting) == ("", False)


def test_a_report_that_kills_its_workers_is_given_up(large: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """As little comes after it as after a kill."""

    def be_killed(*_asked: object) -> None:
        raise Killed

    monkeypatch.setitem(reports.MAKERS, QUALITY, be_killed)
    asked = reports.ask(large.project, QUALITY, {})
    for _time in range(reports.MOST_BEGUN):
        assert ("quality", {}) in waiting()
        with pytest.raises(Killed):
            reports.make(asked.pk)
    reports.make(asked.pk)
    assert "3 times" in reports.find(large.project, QUALITY, {}).failure


def test_figures_of_somebody_who_is_erased_are_forgotten(large: World) -> None:
    made(large)
    erasing.erase(large.project, large.bob, by=large.ada)
    assert not Report.objects.exists()


@pytest.fixture
def somebody_at_it(large: World) -> Iterator[Report]:
    """A report that another connection is making."""
    asked = reports.ask(large.project, QUALITY, {})
    with connection.copy().cursor() as other:
        other.execute("select pg_advisory_lock(%s, %s)", [reports.LOCK, asked.pk])
        yield asked
        other.connection.close()


def test_nobody_makes_what_somebody_is_making(somebody_at_it: Report) -> None:
    reports.make(somebody_at_it.pk)
    somebody_at_it.refresh_from_db()
    assert (somebody_at_it.is_waiting, somebody_at_it.begun) == (True, 0)


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_real_worker_makes_what_is_asked_for(large: World) -> None:
    with worker(queues="default"):
        reports.ask(large.project, QUALITY, {})
        wait_for(lambda: reports.find(large.project, QUALITY, {}).figures, seconds=60)
