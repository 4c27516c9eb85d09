"""A gate while other rounds run, as it is cancelled and tried again, and with others at work in the same moment."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from threading import Thread
from typing import Any

import pytest
from django.db import connection

from annotation import assignment
from annotation.models import Completion, Item, Ranking, SkipReason, Split
from tests.training.carrying_on import carry_on, end_run, start
from tests.training.gating import always, at_the_gate, judge, looked_at, take
from tests.training.world import Lab, build_lab
from tests.world import rank
from training import automatic, gates, registry, rounds
from training.models import AutomaticRounds, GatePair, PairState, Policy, RoundStage, RoundState, Stage


class TestBesideOthers:
    def test_another_round_may_run_and_the_gate_passes_all_the_same(self, lab: Lab) -> None:
        round = at_the_gate(lab)
        other = start(lab)
        rounds.advance(other.pk)
        with pytest.raises(rounds.RoundRefused, match="is running"):
            start(lab)
        judge(lab, lab.people.alice, always(1.0))
        assert looked_at(round).state == RoundState.PUBLISHED
        assert carry_on(other).state == RoundState.PUBLISHED

    def test_where_another_policy_was_published_meanwhile_a_person_decides(self, lab: Lab) -> None:
        carry_on(start(lab))
        Item.objects.update(open_slots=[])
        round = at_the_gate(lab)
        other = carry_on(start(lab))
        Item.objects.exclude(gate_pair__isnull=False).update(open_slots=[])
        assert other.state == RoundState.PUBLISHED
        judge(lab, lab.people.alice, always(1.0))
        round = looked_at(round)
        assert (round.state, round.gate.outcome) == (RoundState.REJECTED, "overtaken")

    def test_automatic_rounds_wait_for_its_end(self, lab: Lab) -> None:
        rule = AutomaticRounds(project=lab.project, is_on=True, demonstrations=1, hours=0, changed_by=lab.rosa)
        rule.save()
        round = at_the_gate(lab)
        lab.demonstrate(lab.prompts(Split.TRAIN)[-1], "red")
        assert automatic.look(rule) is None
        rounds.decide(round, publish_it=False, reason="No.", user=lab.rosa)
        assert automatic.look(rule) is not None

    def test_going_back_is_one_step_as_ever(self, lab: Lab) -> None:
        first = carry_on(start(lab))
        Item.objects.update(open_slots=[])
        second = at_the_gate(lab)
        judge(lab, lab.people.alice, always(1.0))
        second = looked_at(second)
        assert Policy.objects.current(lab.project) == second.policy
        registry.put_back(second.gate.rival, user=lab.rosa)
        assert Policy.objects.current(lab.project) == first.policy


class TestCancelling:
    def test_it_asks_nobody_any_more_and_what_was_judged_stays(self, lab: Lab) -> None:
        round = at_the_gate(lab)
        judge(lab, lab.people.alice, always(1.0), most=3)
        before = Ranking.objects.count()
        rounds.cancel(round, user=lab.rosa)
        assert take(lab, lab.people.bob) is None
        assert Ranking.objects.count() == before
        assert not Item.objects.filter(sealed=True).exists()
        round.refresh_from_db()
        assert round.state == RoundState.CANCELLED

    def test_trying_again_goes_on_with_the_same_pairs(self, lab: Lab) -> None:
        round = at_the_gate(lab)
        judge(lab, lab.people.alice, always(1.0), most=3)
        rounds.cancel(round)
        rounds.retry(round)
        round = looked_at(round)
        assert (round.state, gates.standing(round.gate)) == (RoundState.GATE, (3, 0))
        assert judge(lab, lab.people.alice, always(1.0)) == 17
        assert looked_at(round).state == RoundState.PUBLISHED

    def test_a_sampling_run_that_is_cancelled_cancels_the_round(self, lab: Lab) -> None:
        round = carry_on(start(lab, publish="gate", gate_judgements=20), until=RoundStage.GATE)
        assert round.state == RoundState.RUNNING
        rounds.cancel(round)
        round.refresh_from_db()
        assert round.state == RoundState.CANCELLED
        rounds.retry(round)
        end_run(round.runs.get(stage=Stage.GATE))
        assert looked_at(round).state == RoundState.GATE


def elsewhere(work: Callable[[], object]) -> Thread:
    """The work on a connection of its own, given a second at least."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = Thread(target=run)
    thread.start()
    thread.join(1)
    return thread


def in_the_middle(due: Callable[[str], bool], work: Callable[[], object], others: list[Thread]) -> Any:
    """A look at the database during which somebody else does something, before the first statement that is due."""

    def hook(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's
        if not others and due(sql):
            others.append(elsewhere(work))
        return execute(sql, params, many, context)

    return connection.execute_wrapper(hook)


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_a_judgement_counts_at_whatever_moment_of_the_look_it_comes(self) -> None:
        """No spare pair is left: one that was given up would leave too few."""
        lab = build_lab()
        round = at_the_gate(lab, judgements=20)
        GatePair.objects.filter(state=PairState.SPARE).delete()
        for number in range(20):
            piece, statements, others = take(lab, lab.people.alice), count(), list[Thread]()
            assert piece is not None
            best_first = sorted(piece.shown, key=lambda pk: not Completion.objects.get(pk=pk).text.startswith("new"))
            groups = [[pk] for pk in best_first]
            with in_the_middle(
                lambda _sql, after=statements, at=number: next(after) == at,
                lambda mine=piece, ranks=groups: rank(mine, ranks),
                others,
            ):
                rounds.advance(round.pk)
            if not others:
                rank(piece, groups)
            for thread in others:
                thread.join()
            assert not GatePair.objects.filter(state=PairState.REPLACED).exists(), number
        assert looked_at(round).state == RoundState.PUBLISHED

    @pytest.mark.parametrize("verb", ["decide", "cancel"])
    def test_who_ends_the_gate_while_a_spare_pair_is_put_in_the_queue_leaves_nothing_there(self, verb: str) -> None:
        lab = build_lab()
        round = at_the_gate(lab)
        skipped = take(lab, lab.people.alice)
        assert skipped is not None
        assignment.skip(skipped, reason=SkipReason.UNANSWERABLE)

        def end() -> None:
            if verb == "cancel":
                rounds.cancel(round)
            else:
                rounds.decide(round, publish_it=False, reason="In a hurry.", user=lab.rosa)

        others = list[Thread]()
        with in_the_middle(lambda sql: sql.startswith('UPDATE "training_gatepair"'), end, others):
            rounds.advance(round.pk)
        for thread in others:
            thread.join()
        assert others
        assert take(lab, lab.people.bob) is None
        assert not Item.objects.filter(sealed=True).exists()
