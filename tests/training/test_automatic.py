"""Rounds that start by themselves when enough is new."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from annotation import screening
from annotation.models import AuditEntry, Completion, ItemKind, Pool, Project, Purpose, Ranking, Split
from tests.training.carrying_on import carry_on, start
from tests.training.world import Lab
from tests.world import make_ranking_item, rank, taken
from training import automatic, rounds
from training.models import AutomaticRounds, Pause, Round, RoundState


def rule(lab: Lab, **fields: Any) -> AutomaticRounds:
    made = automatic.of(lab.project)
    for name, value in {"is_on": True, "rankings": 2, "hours": 5, **fields}.items():
        setattr(made, name, value)
    automatic.change(made, user=lab.rosa)
    return made


def rank_more(lab: Lab, count: int) -> None:
    for prompt in lab.prompts(Split.TRAIN, Pool.REWARD)[:count]:
        lab.rank(prompt, [["first"], ["second"]])


def later(round: Round) -> None:
    """Six hours pass."""
    Round.objects.filter(pk=round.pk).update(created_at=timezone.now() - timedelta(hours=6))


def pause(lab: Lab) -> str:
    return AutomaticRounds.objects.get(project=lab.project).pause


def test_a_round_like_the_last_one_starts_when_enough_is_new(lab: Lab) -> None:
    last = carry_on(start(lab, stages=["sft"], seed=7))
    later(last)
    rank_more(lab, 1)
    assert automatic.look(rule(lab)) is None
    rank_more(lab, 1)
    started = automatic.look(rule(lab))
    assert started is not None
    assert (started.number, started.base, started.created_by) == (2, last.base, lab.rosa)
    assert started.options == last.options | {"base": last.base_id}
    assert pause(lab) == ""


def test_new_answers_start_one_as_well(lab: Lab) -> None:
    later(carry_on(start(lab)))
    lab.demonstrate(lab.prompts(Split.TRAIN)[0], "something new")
    assert automatic.look(rule(lab, demonstrations=2)) is None
    assert automatic.look(rule(lab, demonstrations=1)) is not None


def test_what_no_round_would_train_on_is_not_counted(lab: Lab) -> None:
    carry_on(start(lab))
    lab.rank(lab.prompts(Split.TEST)[0], [["first"], ["second"]])
    lab.rank(lab.prompts(Split.TRAIN, Pool.POLICY)[0], [["first"], ["second"]])
    assert automatic.new_rows(lab.project) == {"rankings": 0, "demonstrations": 0}


def test_what_people_did_who_have_not_qualified_is_not_counted(lab: Lab) -> None:
    carry_on(start(lab))
    rank_more(lab, 2)
    lab.demonstrate(lab.prompts(Split.TRAIN)[0], "something new")
    assert automatic.new_rows(lab.project) == {"rankings": 2, "demonstrations": 1}
    Project.objects.filter(pk=lab.project.pk).update(qualification_answers=1)
    lab.project.refresh_from_db()
    assert automatic.new_rows(lab.project) == {"rankings": 0, "demonstrations": 0}


def test_what_only_measures_people_is_not_counted(lab: Lab) -> None:
    carry_on(start(lab))
    before = automatic.new_rows(lab.project)["rankings"]
    item = make_ranking_item(lab.project, prompt=lab.prompts(Split.TRAIN, Pool.REWARD)[0])
    screening.choose(lab.project, [item.pk], purpose=Purpose.GOLD, by=lab.rosa)
    item.refresh_from_db()
    rank(screening.answer(item, lab.rosa))
    assert automatic.new_rows(lab.project)["rankings"] == before + 1
    Project.objects.filter(pk=lab.project.pk).update(gold_share=100)
    lab.project.refresh_from_db()
    rank(taken(lab.project, lab.people.alice, ItemKind.RANKING))
    assert automatic.new_rows(lab.project)["rankings"] == before + 1


def test_in_a_project_without_rounds_all_is_new_and_the_first_is_a_usual_one(lab: Lab) -> None:
    assert automatic.new_rows(lab.project)["rankings"] == 6
    started = automatic.look(rule(lab, rankings=6))
    assert started is not None
    assert started.base == lab.base


def test_none_starts_before_the_hours_are_over_or_while_one_runs(lab: Lab) -> None:
    last = carry_on(start(lab))
    rank_more(lab, 2)
    assert automatic.look(rule(lab)) is None
    later(last)
    running = start(lab)
    later(running)
    assert automatic.look(rule(lab)) is None
    assert pause(lab) == ""


def test_after_a_round_that_failed_a_person_has_to_look(lab: Lab) -> None:
    last = carry_on(start(lab))
    Round.objects.filter(pk=last.pk).update(state=RoundState.FAILED)
    later(last)
    rank_more(lab, 2)
    assert automatic.look(rule(lab)) is None
    assert pause(lab) == Pause.ENDED_BADLY


@pytest.mark.parametrize(("same", "starts"), [(True, True), (False, False)])
def test_none_starts_where_people_agree_too_little(lab: Lab, *, same: bool, starts: bool) -> None:
    later(carry_on(start(lab)))
    for prompt in lab.prompts(Split.TRAIN, Pool.REWARD)[:10]:
        ranking = lab.rank(prompt, [["first"], ["second"], ["third"]])
        groups = ranking.groups if same else ranking.groups[::-1]
        Ranking.objects.create(prompt=prompt, annotator=lab.people.bob, groups=groups, shown=ranking.shown)
    assert Completion.objects.filter(text="third").exists()
    assert (automatic.look(rule(lab, agreement=60)) is not None) == starts
    assert pause(lab) == ("" if starts else Pause.AGREEMENT)


def test_a_round_that_is_refused_says_why(lab: Lab) -> None:
    later(carry_on(start(lab, stages=["reward_model", "ppo"])))
    rank_more(lab, 2)
    lab.project.prompts.filter(pool=Pool.POLICY).update(review="rejected")
    assert automatic.look(rule(lab)) is None
    kept = AutomaticRounds.objects.get()
    assert (kept.pause, "0 training prompts that feed the policy" in kept.refusal) == (Pause.REFUSED, True)


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_look_at_once_start_one_round_and_call_nothing_refused(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(carry_on(start(lab)))
    rank_more(lab, 2)
    kept, together, really_start = rule(lab), Barrier(2, timeout=20), rounds.start

    def start_together(*args: Any, **named: Any) -> Round:
        together.wait()
        return really_start(*args, **named)

    def look(_worker: int) -> Round | None:
        try:
            return automatic.look(AutomaticRounds.objects.select_related("project").get(pk=kept.pk))
        finally:
            connection.close()

    monkeypatch.setattr(automatic.rounds, "start", start_together)
    with ThreadPoolExecutor(2) as workers:
        started = list(workers.map(look, range(2)))
    assert [each is None for each in started].count(True) == 1
    assert Round.objects.filter(state=RoundState.RUNNING).count() == 1
    assert AutomaticRounds.objects.get().pause == ""


def test_the_sweep_looks_at_what_is_on_and_not_more_often_than_once_a_minute(lab: Lab) -> None:
    later(carry_on(start(lab)))
    rank_more(lab, 2)
    off = rule(lab, is_on=False)
    automatic.sweep()
    assert Round.objects.count() == 1
    rule(lab)
    AutomaticRounds.objects.filter(pk=off.pk).update(looked_at=timezone.now())
    automatic.sweep()
    assert Round.objects.count() == 1
    AutomaticRounds.objects.filter(pk=off.pk).update(looked_at=timezone.now() - timedelta(minutes=2))
    automatic.sweep()
    assert Round.objects.count() == 2


def test_a_rule_that_waits_for_nothing_is_refused_by_page_api_and_database(lab: Lab) -> None:
    client = Client()
    client.force_login(lab.rosa)
    page = client.post("/projects/capitals/rounds/automatic/", {"is_on": "on", "hours": "24"})
    assert (page.status_code, "Say how many new rankings" in page.content.decode()) == (422, True)
    answer = client.put("/api/v1/projects/capitals/rounds/automatic/", {"is_on": True}, content_type="application/json")
    assert answer.status_code == 400
    with pytest.raises(IntegrityError), transaction.atomic():
        AutomaticRounds.objects.create(project=lab.project, is_on=True)


def test_page_and_api_change_the_same_rule_and_the_log_tells(lab: Lab) -> None:
    client = Client()
    client.force_login(lab.rosa)
    address = "/projects/capitals/rounds/automatic/"
    assert client.post(address, {"is_on": "on", "rankings": "50", "hours": "12"})["Location"] == address
    api = "/api/v1/projects/capitals/rounds/automatic/"
    found = client.get(api).json()
    assert (found["is_on"], found["rankings"], found["hours"], found["pause"]) == (True, 50, 12, "")
    changed = client.put(api, {"agreement": 60}, content_type="application/json").json()
    assert (changed["agreement"], changed["rankings"]) == (60, 50)
    assert AuditEntry.objects.filter(project_id=lab.project.pk, action="automatic_rounds").count() == 2
    assert (
        '<a href="/projects/capitals/rounds/automatic/">Automatic rounds</a>: on'
        in client.get("/projects/capitals/rounds/").content.decode()
    )


def test_the_page_says_why_none_starts(lab: Lab) -> None:
    rule(lab)
    AutomaticRounds.objects.update(pause=Pause.REFUSED, refusal="The disk is full.")
    client = Client()
    client.force_login(lab.rosa)
    page = client.get("/projects/capitals/rounds/automatic/").content.decode()
    assert "The round was refused: The disk is full." in page
    assert "paused" in page
