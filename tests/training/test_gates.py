"""A round at its gate: blind pairs in the ordinary queue, so many judgements, one look, a decision."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from django.test import Client

from annotation import assignment, reviewing, withdrawing
from annotation.leaderboard import leaderboards
from annotation.models import (
    AuditEntry,
    Completion,
    Item,
    Project,
    Prompt,
    Ranking,
    ReviewState,
    SkipReason,
    Split,
    WorkKind,
)
from tests.annotation.pages.conftest import SignIn, sign_in
from tests.annotation.test_blindness import all_that_is_served
from tests.training import carrying_on
from tests.training.carrying_on import carry_on, start
from tests.training.gating import always, at_the_gate, judge, looked_at, take
from tests.training.world import Lab
from tests.world import make_token, rank
from training import datasets, gates, rounds
from training.models import Gate, GatePair, PairState, Policy, Round, RoundStage, RoundState, Stage, TrainingRun

__all__ = ["sign_in"]


def test_without_a_gate_a_round_goes_the_way_it_always_went(lab: Lab) -> None:
    round = carry_on(start(lab))
    assert RoundStage.GATE not in round.stages
    assert not Gate.objects.exists()
    assert not Item.objects.filter(sealed=True).exists()


def test_a_policy_that_people_prefer_is_published(lab: Lab) -> None:
    round = at_the_gate(lab)
    assert (round.state, round.stage) == (RoundState.GATE, RoundStage.GATE)
    assert round.policy not in Policy.objects.published()
    assert judge(lab, lab.people.alice, lambda number: float(number % 5 > 0)) == 20
    round = looked_at(round)
    assert (round.state, round.published_by) == (RoundState.PUBLISHED, None)
    assert round.policy in Policy.objects.published()
    found = round.gate.result
    assert {name: found[name] for name in ("judgements", "settled", "wins", "ties", "losses")} == {
        "judgements": 20, "settled": 0, "wins": 16, "ties": 0, "losses": 4,
    }  # fmt: skip
    assert found["win_rate"]["value"] == 0.8
    assert found["win_rate"]["low"] > 0.5
    assert round.gate.outcome == "passed"
    assert round.runs.filter(stage=Stage.SAMPLE).exists()


def test_a_policy_that_people_do_not_prefer_stays_unpublished(lab: Lab) -> None:
    round = at_the_gate(lab)
    judge(lab, lab.people.alice, lambda number: float(number % 2))
    round = looked_at(round)
    assert (round.state, round.stage, round.gate.outcome) == (RoundState.REJECTED, RoundStage.GATE, "not_passed")
    assert round.policy not in Policy.objects.published()
    assert round.finished_at is not None
    assert start(lab).number == 2


def test_the_lower_bound_has_to_pass_the_bar_and_not_the_win_rate_itself(lab: Lab) -> None:
    round = at_the_gate(lab, bar=0.75)
    judge(lab, lab.people.alice, lambda number: float(number % 5 > 0))
    round = looked_at(round)
    assert round.gate.result["win_rate"]["value"] > 0.75
    assert round.state == RoundState.REJECTED


def test_one_that_only_wins_by_its_length_is_not_published(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the longer one in 3 pairs of 4, and 9 times of 10 people like the longer one, whoever wrote it."""
    numbers = {"new": count(), "old": count()}

    def said(run: TrainingRun, text: str, *, beside: bool = False) -> list[dict[str, Any]]:
        told = {"beside": True} if beside else {}
        mine = [next(numbers[text]) for _turn in range(run.hyperparameters["completions"] // 2)]
        return [
            carrying_on.sample(f"{number} {text}" + " and so on" * ((number % 4 > 0) != beside)) | told
            for number in mine
        ]

    monkeypatch.setattr(carrying_on, "_turns", said)
    round = at_the_gate(lab, judgements=120)
    while piece := take(lab, lab.people.alice):
        texts = {pk: output.text for pk, output in Completion.objects.in_bulk(piece.shown).items()}
        number = int(texts[piece.shown[0]].split()[0])
        likes_long = number // 4 % 10 > 0
        rank(piece, [[pk] for pk in sorted(piece.shown, key=lambda pk: len(texts[pk]), reverse=likes_long)])
    round = looked_at(round)
    found = round.gate.result
    assert found["win_rate"]["low"] > 0.5
    assert found["win_rate_equal_length"]["low"] <= 0.5
    assert round.state == RoundState.REJECTED


def test_the_pairs_are_of_the_new_and_the_current_policy_on_prompts_that_nothing_trains_on(lab: Lab) -> None:
    first = carry_on(start(lab))
    Item.objects.update(open_slots=[])
    second = at_the_gate(lab)
    assert first.policy is not None
    assert second.policy is not None
    assert second.gate.rival == first.policy
    items = Item.objects.filter(gate_pair__gate=second.gate).select_related("prompt")
    assert items.count() == 20
    for item in items:
        assert item.asked.split != Split.TRAIN
        wrote = Completion.objects.filter(pk__in=item.completions).values_list("generator", flat=True)
        assert set(wrote) == {second.policy.generator_id, first.policy.generator_id}
        assert (len(item.completions), item.overlap, item.priority) == (2, 1, 0)


def test_before_any_policy_is_published_the_rival_is_what_it_was_trained_from(lab: Lab) -> None:
    round = at_the_gate(lab)
    assert round.policy is not None
    assert round.gate.rival == round.policy.parent


def test_no_win_rate_is_told_before_all_judgements_are_in(lab: Lab) -> None:
    round = at_the_gate(lab)
    judge(lab, lab.people.alice, always(1.0), most=19)
    round = looked_at(round)
    assert (round.state, round.gate.result) == (RoundState.GATE, {})
    assert gates.standing(round.gate) == (19, 0)
    assert leaderboards(lab.project)[0] == []
    frozen = datasets.freeze(lab.project, user=None, needed={})
    assert frozen.left_out["rankings"]["at a gate that is not decided"] == 19
    judge(lab, lab.people.alice, always(1.0))
    looked_at(round)
    assert leaderboards(lab.project)[0] != []
    frozen = datasets.freeze(lab.project, user=None, needed={})
    assert "at a gate that is not decided" not in frozen.left_out.get("rankings", {})


def test_what_was_judged_is_held_out_of_training_later_too(lab: Lab) -> None:
    before = datasets.freeze(lab.project, user=None, needed={}).counts
    round = at_the_gate(lab)
    judge(lab, lab.people.alice, always(1.0))
    looked_at(round)
    after = datasets.freeze(lab.project, user=None, needed={}).counts
    assert after["rankings"] == before["rankings"]
    assert after["rankings_held_out"] == before["rankings_held_out"] + 20
    without = datasets.freeze(lab.project, user=None, needed={}, without_gates=True)
    assert without.counts["rankings_held_out"] == before["rankings_held_out"]
    assert (without.left_out["rankings"], without.filters["without_gates"]) == ({"judged at gates": 20}, True)


def test_a_skipped_pair_gives_way_to_a_spare_one(lab: Lab) -> None:
    round = at_the_gate(lab)
    skipped = take(lab, lab.people.alice)
    assert skipped is not None
    assignment.skip(skipped, reason=SkipReason.UNANSWERABLE)
    round = looked_at(round)
    assert GatePair.objects.get(item=skipped.item_id).state == PairState.REPLACED
    assert not assignment.undo_skip(skipped)
    judge(lab, lab.people.bob, always(1.0))
    assert looked_at(round).gate.result["judgements"] == 20


def test_without_a_spare_pair_a_skipped_one_stays_for_others(lab: Lab) -> None:
    round = at_the_gate(lab)
    GatePair.objects.filter(state=PairState.SPARE).delete()
    skipped = take(lab, lab.people.alice)
    assert skipped is not None
    assignment.skip(skipped, reason=SkipReason.BROKEN)
    judge(lab, lab.people.alice, always(1.0))
    assert looked_at(round).state == RoundState.GATE
    assert judge(lab, lab.people.bob, always(1.0)) == 1
    assert looked_at(round).state == RoundState.PUBLISHED


def test_a_judgement_that_a_reviewer_rejects_is_made_anew(lab: Lab) -> None:
    round = at_the_gate(lab)
    judge(lab, lab.people.alice, always(1.0), most=1)
    ranking = Ranking.objects.latest("pk")
    reviewing.decide(
        lab.project, reviewer=lab.people.ada, kind=WorkKind.RANKING, pieces=[ranking.pk],
        state=ReviewState.REJECTED, reason="Blind.",
    )  # fmt: skip
    looked_at(round)
    assert gates.standing(round.gate) == (0, 0)
    judge(lab, lab.people.bob, always(1.0))
    assert looked_at(round).gate.result["judgements"] == 20


def test_a_prompt_that_its_author_takes_back_is_replaced(lab: Lab) -> None:
    Prompt.objects.filter(project=lab.project).update(author=lab.people.rita)
    round = at_the_gate(lab)
    gone = round.gate.pairs.filter(state=PairState.USED).first()
    assert gone is not None
    withdrawing.remove(
        lab.project, {"prompts": {gone.prompt_id}, "demonstrations": set(), "rankings": set(), "completions": set()}
    )
    looked_at(round)
    judge(lab, lab.people.alice, always(1.0))
    assert looked_at(round).gate.result["judgements"] == 20


def test_where_too_few_can_be_judged_a_person_has_to_decide(lab: Lab) -> None:
    round = at_the_gate(lab)
    GatePair.objects.filter(state=PairState.SPARE).delete()
    gone = round.gate.pairs.first()
    assert gone is not None
    withdrawing.remove(
        lab.project, {"prompts": {gone.prompt_id}, "demonstrations": set(), "rankings": set(), "completions": set()}
    )
    judge(lab, lab.people.alice, always(1.0))
    round = looked_at(round)
    assert (round.state, round.gate.outcome) == (RoundState.REJECTED, "too_few")
    assert round.gate.result["judgements"] < 20


@pytest.mark.parametrize(
    ("new", "rival", "score"), [("a", " a ", 0.5), ("", " ", 0.5), ("a", "", 1.0), ("\n", "a", 0.0), ("a", "b", None)]
)
def test_people_are_not_asked_what_needs_no_judgement(new: str, rival: str, score: float | None) -> None:
    assert gates.settled(new, rival) == score


def test_pairs_that_say_the_same_are_ties_without_anybody_being_asked(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alike(run: TrainingRun, _text: str, *, beside: bool = False) -> list[dict[str, Any]]:
        said = [carrying_on.sample("so"), carrying_on.sample("well")]
        return [each | ({"beside": True} if beside else {}) for each in said][: run.hyperparameters["completions"] // 2]

    monkeypatch.setattr(carrying_on, "_turns", alike)
    round = looked_at(at_the_gate(lab, judgements=10))
    assert take(lab, lab.people.alice) is None
    assert (round.state, round.gate.result["ties"], round.gate.result["settled"]) == (RoundState.REJECTED, 10, 10)


def test_what_is_rejected_with_its_prompt_counts_no_more_though_nobody_had_to_be_asked(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All say the same but the first two, so that the gate waits for one judgement."""
    numbers = count()

    def alike(run: TrainingRun, _text: str, *, beside: bool = False) -> list[dict[str, Any]]:
        if not beside:
            return [carrying_on.sample("so")]
        return [carrying_on.sample("so" if next(numbers) else "or so") | {"beside": True}]

    monkeypatch.setattr(carrying_on, "_turns", alike)
    round = at_the_gate(lab, judgements=8)
    used, spare = (list(round.gate.pairs.filter(state=each)) for each in (PairState.USED, PairState.SPARE))
    assert (len(used), len(spare), gates.standing(round.gate)) == (8, 2, (7, 7))
    gone = [used[-1].prompt_id, spare[0].prompt_id]
    Prompt.objects.filter(pk__in=gone).update(review=ReviewState.REJECTED)
    assert gates.standing(round.gate) == (6, 6)
    looked_at(round)
    assert judge(lab, lab.people.alice, always(0.5)) == 1
    round = looked_at(round)
    assert (round.gate.result["judgements"], round.gate.result["ties"]) == (8, 8)
    assert not round.gate.pairs.filter(state=PairState.USED, prompt__in=gone).exists()


class TestDeciding:
    def test_somebody_publishes_what_the_gate_refused(self, lab: Lab) -> None:
        round = at_the_gate(lab)
        judge(lab, lab.people.alice, always(0.0))
        round = looked_at(round)
        rounds.decide(round, publish_it=True, reason=" The judges knew better. ", user=lab.people.ada)
        round = carry_on(round)
        assert (round.state, round.published_by) == (RoundState.PUBLISHED, lab.people.ada)
        told = AuditEntry.objects.get(action="gate_decided")
        assert told.actor_id == lab.people.ada.pk
        assert told.details == {"round": 1, "publish": True, "reason": "The judges knew better."}
        assert round.decisions.get().reason == "The judges knew better."

    @pytest.mark.parametrize("publish", [True, False])
    def test_somebody_decides_before_all_are_in_and_no_win_rate_is_told(self, lab: Lab, *, publish: bool) -> None:
        round = at_the_gate(lab)
        judge(lab, lab.people.alice, always(1.0), most=3)
        rounds.decide(round, publish_it=publish, reason="In a hurry.", user=lab.rosa)
        round = carry_on(round)
        assert round.state == (RoundState.PUBLISHED if publish else RoundState.REJECTED)
        assert (round.gate.result, round.gate.outcome) == ({}, "")
        assert not Item.objects.filter(gate_pair__isnull=False).exclude(open_slots=[]).exists()
        assert not Item.objects.filter(sealed=True).exists()

    def test_a_reason_has_to_be_given(self, lab: Lab) -> None:
        round = at_the_gate(lab)
        with pytest.raises(rounds.RoundRefused, match="Say why"):
            rounds.decide(round, publish_it=True, reason=" \n", user=lab.rosa)
        with pytest.raises(rounds.RoundRefused, match="4000"):
            rounds.decide(round, publish_it=True, reason="x" * 4_001, user=lab.rosa)

    def test_a_round_without_a_gate_is_not_decided_about(self, lab: Lab) -> None:
        round = carry_on(start(lab, publish="manual"))
        with pytest.raises(rounds.RoundRefused, match="Only a round at its gate"):
            rounds.decide(round, publish_it=True, reason="Why not?", user=lab.rosa)

    def test_a_round_at_its_gate_is_not_published_without_a_reason(self, lab: Lab) -> None:
        with pytest.raises(rounds.RoundRefused):
            rounds.publish(at_the_gate(lab), user=lab.rosa)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"gate_judgements": 0}, "gate_judgements is 0"),
        ({"gate_judgements": 4}, "gate_judgements is 4; a whole number from 5 to 5000"),
        ({"gate_judgements": 2.5}, "gate_judgements is 2.5"),
        ({"gate_bar": 1}, "gate_bar is 1"),
        ({"gate_bar": "half"}, "gate_bar is 'half'"),
        ({"stages": ["reward_model"], "publish": "gate"}, "no stage makes a policy"),
        ({"publish": "maybe"}, "auto, manual or gate"),
    ],
)
def test_a_gate_that_makes_no_sense_starts_no_round(lab: Lab, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(rounds.RoundRefused, match=reason):
        start(lab, **options)
    assert not Round.objects.exists()


def test_a_gate_wants_prompts_that_are_held_out(lab: Lab) -> None:
    kept = lab.prompts(Split.TEST)[:4]
    Prompt.objects.exclude(split=Split.TRAIN).exclude(pk__in=[each.pk for each in kept]).update(review="rejected")
    with pytest.raises(rounds.RoundRefused, match="4 found, at least 5 needed"):
        start(lab, publish="gate")


def test_an_annotator_who_has_not_qualified_decides_nothing(lab: Lab) -> None:
    round = at_the_gate(lab)
    Project.objects.filter(pk=lab.project.pk).update(qualification_answers=1)
    judge(lab, lab.people.alice, always(1.0))
    round = Round.objects.get(pk=round.pk)
    assert gates.standing(round.gate) == (0, 0)


def test_a_pair_at_a_gate_is_served_as_any_other_set_of_two_whichever_is_whose(lab: Lab, sign_in: SignIn) -> None:
    """The pages and JSON of the same two outputs: at the gate, the other way round, and as an ordinary set."""
    round = at_the_gate(lab)
    piece = take(lab, lab.people.alice)
    assert piece is not None
    pair = GatePair.objects.get(item=piece.item_id)
    client, api = sign_in(lab.people.alice), Client(headers={"Authorization": f"Bearer {make_token(lab.people.alice)}"})
    client.get(f"/assignments/{piece.pk}/")
    at_gate = all_that_is_served(client, api, piece)
    writers = [pair.new.generator_id, pair.rival.generator_id]
    Completion.objects.filter(pk=pair.new_id).update(generator=writers[1])
    Completion.objects.filter(pk=pair.rival_id).update(generator=writers[0])
    other_way_round = all_that_is_served(client, api, piece)
    pair.delete()
    Item.objects.update(sealed=False)
    Gate.objects.filter(round=round).delete()
    ordinary = all_that_is_served(client, api, piece)
    assert at_gate == other_way_round == ordinary
    assert "gate" not in "".join(at_gate).lower().replace("navigate", "").replace("aggregate", "")
