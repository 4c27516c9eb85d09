"""Which sets of outputs people rank next: the choice itself, by hand and for any candidates, and by a round."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.leaderboard import leaderboards
from annotation.models import Assignment, ChosenBy, Completion, Item, Prompt, Ranking, Split
from annotation.quality import BY_CHANCE, judgements_of
from tests.training.carrying_on import carry_on, sample, start
from tests.training.world import Lab
from training import rounds, runs
from training.choosing import POOL, Candidate, choose, uncertainty
from training.generation import choose_prompts
from training.models import Round, Stage, TrainingRun
from training.options import Options, RoundRefused

any_time = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LOT, UNSURE, THIN = ChosenBy.LOT, ChosenBy.UNCERTAINTY, ChosenBy.COVERAGE
CHAT, CHINESE = ("chat", "en"), ("chat", "zh")


class TestUncertainty:
    def test_is_the_mean_of_four_times_p_times_its_complement(self) -> None:
        """By hand: odds of 3 to 1 are p = 3/4, so 4 · 3/4 · 1/4 = 0.75."""
        assert uncertainty([0.0, math.log(3)]) == pytest.approx(0.75)
        assert uncertainty([5.0, 5.0, 5.0 + math.log(3)]) == pytest.approx((1 + 0.75 + 0.75) / 3)
        assert uncertainty([2.0, 2.0]) == 1.0
        assert uncertainty([-4_000.0, 4_000.0]) == 0.0

    @any_time
    @given(st.lists(st.floats(-50, 50), min_size=2, max_size=9), st.floats(-9, 9))
    def test_asks_only_how_far_apart_rewards_are(self, rewards: list[float], shift: float) -> None:
        assert 0 <= uncertainty(rewards) <= 1
        assert uncertainty([each + shift for each in rewards[::-1]]) == pytest.approx(uncertainty(rewards), abs=1e-9)
        assert uncertainty([2 * each for each in rewards]) <= uncertainty(rewards) + 1e-12


def sure(prompt: int, group: tuple[str, str] = CHAT) -> Candidate:
    return Candidate(prompt, group, [0.0, 9.0])


class TestChoosing:
    def test_by_hand(self) -> None:
        """Of nine places three are drawn by lot; of the other six three are unsure, and three of the thinner group."""
        unsure = [Candidate(number, CHAT, [0.0, number / 10]) for number in range(1, 11)]
        chinese = [sure(number, CHINESE) for number in range(20, 24)]
        chosen = choose([*unsure, *chinese], count=9, random_share=1 / 3, ranked={CHAT: 30, CHINESE: 28}, seed=0)
        assert Counter(chosen.values()) == {LOT: 3, UNSURE: 3, THIN: 3}
        left = [each.prompt for each in unsure if chosen.get(each.prompt) != LOT]
        assert [prompt for prompt, way in chosen.items() if way == UNSURE] == left[:3]
        drawn = Counter(each.group for each in (*unsure, *chinese) if chosen.get(each.prompt) == LOT)
        counts = Counter({CHAT: 30 + 3, CHINESE: 28}) + drawn
        groups = {each.prompt: each.group for each in (*unsure, *chinese)}
        for prompt in (prompt for prompt, way in chosen.items() if way == THIN):
            assert counts[groups[prompt]] == min(counts.values())
            counts[groups[prompt]] += 1

    def test_where_a_group_has_run_out_the_next_thinnest_is_served(self) -> None:
        candidates = [sure(1, CHINESE), *map(sure, range(2, 9))]
        assert len(choose(candidates, count=8, random_share=0.01, ranked={CHAT: 99}, seed=1)) == 8

    def test_of_outputs_that_no_reward_model_saw_none_is_chosen_as_unsure(self) -> None:
        unseen = [Candidate(number, CHAT, rewards) for number in range(9) for rewards in ([], [float("nan"), 1.0])]
        assert set(choose(unseen, count=6, random_share=0.5, ranked={}, seed=0).values()) == {LOT, THIN}

    @any_time
    @given(st.data())
    def test_whatever_there_is(self, data: Any) -> None:
        rewards = st.lists(st.floats(-9, 9), max_size=5)
        groups = st.sampled_from([CHAT, CHINESE, ("other", "en")])
        candidates = data.draw(st.lists(st.builds(Candidate, st.integers(0, 40), groups, rewards), max_size=40))
        count, share = data.draw(st.integers(0, 30)), data.draw(st.integers(1, 100)) / 100
        seed, ranked = data.draw(st.integers(0, 9)), data.draw(st.dictionaries(groups, st.integers(0, 30)))
        chosen = choose(candidates, count=count, random_share=share, ranked=ranked, seed=seed)
        assert chosen == choose(candidates, count=count, random_share=share, ranked=ranked, seed=seed)
        size = min(count, len({each.prompt for each in candidates}))
        assert len(chosen) == size  # a mapping: no prompt is there twice
        assert set(chosen) <= {each.prompt for each in candidates}
        by_lot = sum(way == LOT for way in chosen.values())
        assert share * size <= by_lot + 1e-6 < share * size + 1

    @any_time
    @given(st.integers(0, 1_000))
    def test_what_is_drawn_by_lot_does_not_depend_on_rewards_or_coverage(self, seed: int) -> None:
        def drawn(rewards: list[float], ranked: dict[tuple[str, str], int]) -> set[int]:
            candidates = [Candidate(number, CHAT, [number * each for each in rewards]) for number in range(12)]
            chosen = choose(candidates, count=6, random_share=0.5, ranked=ranked, seed=seed)
            return {prompt for prompt, way in chosen.items() if way == LOT}

        assert drawn([0.0, 1.0], {}) == drawn([0.0, -3.0], {CHAT: 7}) == drawn([], {})

    def test_the_lot_draws_each_as_often_as_another(self) -> None:
        candidates = [sure(number) for number in range(8)]
        times = Counter[int]()
        for seed in range(2_000):
            chosen = choose(candidates, count=4, random_share=0.5, ranked={}, seed=seed)
            times.update(prompt for prompt, way in chosen.items() if way == LOT)
        assert all(abs(times[number] - 500) < 4 * math.sqrt(2_000 * 0.25 * 0.75) for number in range(8))


def until_sampled(lab: Lab, **options: Any) -> tuple[Round, TrainingRun]:
    round = carry_on(start(lab, **options), until="sample")
    return round, round.runs.get(stage=Stage.SAMPLE)


def said(run: TrainingRun, apart: dict[int, float]) -> None:
    """The run is done: of each prompt two outputs, whose rewards lie so far apart."""
    claimed = TrainingRun.objects.claim(run.pk, worker="test")
    assert claimed is not None
    run.folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {**row, "completions": [sample("one") | {"reward": 0.0}, sample("two") | {"reward": apart.get(row["id"], 3.0)}]}
        for row in run.inputs["prompts"]
    ]
    (run.folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    runs.finish(claimed, {"seconds": {"total": 1.0}})


class TestARound:
    def test_puts_before_people_what_was_chosen_and_keeps_by_what(self, lab: Lab) -> None:
        _round, run = until_sampled(lab, prompts=10, selection="active", random_share=0.25)
        asked = [row["id"] for row in run.inputs["prompts"]]
        splits = dict(Prompt.objects.filter(pk__in=asked).values_list("pk", "split"))
        training = [pk for pk, split in splits.items() if split == Split.TRAIN]
        assert len(splits) - len(training) == 2  # a fifth of ten is held out, for measuring
        assert 8 < len(training) <= 8 * POOL
        said(run, {pk: number / 100 for number, pk in enumerate(training)})
        items = Item.objects.filter(kind="ranking")
        assert items.count() == 10
        ways = dict(items.values_list("prompt_id", "chosen_by"))
        assert {ways[pk] for pk, split in splits.items() if split != Split.TRAIN} == {LOT}
        chosen = Counter(way for pk, way in ways.items() if pk in training)
        assert chosen == {LOT: 2, UNSURE: 3, THIN: 3}
        unsure = [training.index(pk) for pk, way in ways.items() if way == UNSURE]
        drawn = [training.index(pk) for pk, way in ways.items() if way == LOT and pk in training]
        assert sorted(unsure) == [number for number in range(9) if number not in drawn][:3]
        run.refresh_from_db()
        counts = run.result["queued"]
        assert (counts["items"], counts["lot"], counts["uncertainty"], counts["coverage"]) == (10, 4, 3, 3)
        assert Completion.objects.filter(sampling__run=run.pk).count() == 20  # the rest is not kept

    def test_of_the_default_options_chooses_nothing(self, lab: Lab) -> None:
        _round, run = until_sampled(lab)
        assert set(run.inputs) == {"prompts"}
        assert len(run.inputs["prompts"]) == 8
        said(run, {})
        assert set(Item.objects.filter(kind="ranking").values_list("chosen_by", flat=True)) == {""}
        run.refresh_from_db()
        assert "lot" not in run.result["queued"]

    def test_answers_the_plain_rounds_prompts_first(self, lab: Lab) -> None:
        """The pool only goes on where a plain round stops."""
        plain, pool = (choose_prompts(lab.project, count=10, seed=3, pool=size) for size in (1, POOL))
        assert plain[:8] == pool[:8]
        assert {row["id"] for row in plain} <= {row["id"] for row in pool}

    @pytest.mark.parametrize("wrong", [{"selection": "best"}, {"random_share": 0}, {"random_share": 1.5}])
    def test_refuses_what_it_does_not_know(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(RoundRefused, match=next(iter(wrong))):
            Options.parse(wrong)

    def test_says_on_its_page_how_many_were_chosen_by_what(self, lab: Lab) -> None:
        round, run = until_sampled(lab, prompts=10, selection="active")
        said(run, {})
        rounds.advance(round.pk)
        client = Client()
        client.force_login(lab.rosa)
        page = " ".join(client.get(f"/projects/{lab.project.slug}/rounds/{round.number}/").content.decode().split())
        assert "4 by lot, 3 where the reward model is unsure, 3 where little is ranked" in page
        assert "chosen, 0.25 of them by lot" in page

    def test_is_started_so_from_the_form_and_by_scripts(self, lab: Lab) -> None:
        client = Client()
        client.force_login(lab.rosa)
        address = f"/projects/{lab.project.slug}/rounds/"
        client.post(address, {"preset": "test", "selection": "active", "random_share": "0.5"})
        made = Round.objects.get()
        assert (made.options["selection"], made.options["random_share"]) == ("active", 0.5)
        rounds.cancel(made)
        response = client.post(
            f"/api/v1{address}", {"selection": "active", "random_share": 0.4}, content_type="application/json"
        )
        assert response.status_code == 201, response.content
        assert Round.objects.latest("pk").options["random_share"] == 0.4


def test_which_generator_people_prefer_is_told_by_sets_that_were_not_chosen_for_being_hard(lab: Lab) -> None:
    _round, run = until_sampled(lab, prompts=10, selection="active")
    said(run, {})
    for item in Item.objects.filter(kind="ranking"):
        held = Assignment.objects.create(
            item=item,
            annotator=lab.people.alice,
            state="submitted",
            lease_expires_at=timezone.now(),
            shown=item.completions,
        )
        Ranking.objects.create(
            prompt=item.asked, annotator=lab.people.alice, assignment=held, shown=item.completions,
            groups=[[each] for each in item.completions],
        )  # fmt: skip
    before = Ranking.objects.filter(assignment=None).count()  # of no queue, such as those that came in files
    assert len(judgements_of(lab.project)) == before + 10
    assert len(judgements_of(lab.project, only=BY_CHANCE)) == before + 4
    Ranking.objects.filter(assignment=None).delete()
    Completion.objects.filter(sampling__run=run.pk, text="two").update(generator=lab.other)
    ((board,), _names) = leaderboards(lab.project)
    assert board.prompts == 4
