"""Choosing what a round trains, on its page."""

from __future__ import annotations

import re
from decimal import Decimal

from django.test import Client, override_settings

from tests.training.pages.scene import Scene
from training.hyperparameters import settle
from training.models import RewardModel, Round, RoundState, Stage

ASKED = {Stage.SAMPLE: {"completions": 8}}


def settings_shown(page: str) -> list[str]:
    return re.findall(r'id="settings-(\w+)"', page)


def test_the_usual_stages_are_chosen_at_first(scene: Scene, rosa: Client) -> None:
    form = rosa.get(scene.address("rounds")).context["form"]
    assert (form["stages"].value(), form["then"].value()) == (["sft", "reward_model"], "ppo")


def test_what_is_chosen_is_what_the_round_goes_through(scene: Scene, rosa: Client) -> None:
    scene.make_ready()
    rosa.post(scene.address("rounds"), {"stages": ["sft"], "then": "dpo", "dpo__beta": "0.2", "ppo__gamma": "7"})
    started = Round.objects.get()
    assert started.options["stages"] == ["sft", "dpo"]
    assert started.options["hyperparameters"] == {"dpo": {"beta": 0.2}}


def test_a_round_that_trains_nothing_is_refused(scene: Scene, rosa: Client) -> None:
    scene.make_ready()
    response = rosa.post(scene.address("rounds"), {"then": "none"})
    assert "Choose what the round trains: at least one stage." in response.content.decode()
    assert not Round.objects.exists()


def test_looking_at_choices_shows_their_settings_and_starts_nothing(scene: Scene, rosa: Client) -> None:
    scene.make_ready()
    response = rosa.post(scene.address("rounds"), {"stages": ["sft"], "then": "none", "look": "1"})
    assert response.status_code == 200
    assert not Round.objects.exists()
    assert settings_shown(response.content.decode()) == ["sft", "evaluate", "sample"]


def test_the_settings_follow_the_stages_without_a_reload(scene: Scene, rosa: Client) -> None:
    response = rosa.get(scene.address("rounds"), {"then": "best_of_n"}, headers={"HX-Request": "true"})
    fragment = response.content.decode()
    assert settings_shown(fragment) == ["evaluate", "best_of_n"]
    assert 'id="outlook" class="stack" hx-swap-oob="true"' in fragment
    assert "There is no reward model yet: let the round train one." in fragment


def test_the_reward_model_is_asked_for_only_where_the_round_trains_none(scene: Scene, rosa: Client) -> None:
    scene.make_ready()
    older, newer = (RewardModel.objects.create(project=scene.project, name=name, path="x") for name in ("r1", "r2"))
    rosa.post(scene.address("rounds"), {"stages": ["sft", "reward_model"], "then": "ppo", "reward_model": older.pk})
    first = Round.objects.latest("pk")
    assert first.options["reward_model"] is None
    Round.objects.update(state=RoundState.CANCELLED)
    rosa.post(scene.address("rounds"), {"then": "ppo", "reward_model": older.pk})
    assert Round.objects.latest("pk").options["reward_model"] == older.pk
    Round.objects.update(state=RoundState.CANCELLED)
    rosa.post(scene.address("rounds"), {"then": "ppo"})
    assert Round.objects.latest("pk").options["reward_model"] == newer.pk


def test_another_round_like_one_takes_the_same_road(scene: Scene, rosa: Client) -> None:
    scene.make_ready()
    reward, _newer = (RewardModel.objects.create(project=scene.project, name=name, path="x") for name in ("r1", "r2"))
    scene.round(state="failed", options={"stages": ["sft", "ppo"], "reward_model": reward.pk})
    form = rosa.get(scene.address("rounds") + "?like=1").context["form"]
    assert (form["stages"].value(), form["then"].value()) == (["sft"], "ppo")
    shown = {name: value for field in form if (value := field.value()) is not None for name in [field.html_name]}
    rosa.post(scene.address("rounds") + "?like=1", shown)
    again = Round.objects.latest("pk")
    assert (again.options["stages"], again.options["reward_model"]) == (["sft", "ppo"], reward.pk)


def test_the_rounds_page_shows_the_stages_chosen_and_no_others(scene: Scene, rosa: Client) -> None:
    scene.round(stage="dpo", options={"stages": ["sft", "dpo"]})
    response = rosa.get(scene.address("rounds/1"))
    assert [step.stage for step in response.context["steps"]] == [
        "freeze",
        "sft",
        "dpo",
        "evaluate",
        "publish",
        "sample",
    ]


def test_a_round_that_made_no_policy_says_that_nothing_is_published(scene: Scene, rosa: Client) -> None:
    scene.round(stage="evaluate", state=RoundState.FINISHED, options={"stages": ["reward_model"]})
    page = rosa.get(scene.address("rounds/1")).content.decode()
    assert "This round made no policy, so nothing is published." in page
    assert 'data-state="done">finished' in page


def test_what_choosing_among_more_outputs_gives_is_explained_on_the_runs_page(scene: Scene, rosa: Client) -> None:
    run = scene.run(Stage.BEST_OF_N, state="succeeded", result={"best_of_16/reward": 1.5, "best_of_2/kl": 0.19})
    page = rosa.get(f"/runs/{run.pk}/").content.decode()
    assert "Reward of the best of 16" in page
    assert "KL of the best of 2" in page


class TestEstimates:
    def ran(self, scene: Scene, *stages: Stage, seconds: float) -> None:
        """Earlier runs on the same base that took so long, each with as much to do as a round now has."""
        asked = {"prompts": [{"id": number} for number in range(64)]}
        for stage in stages:
            counts = {"demonstrations": 1, "rankings": 1}
            dataset = scene.dataset()
            type(dataset).objects.filter(pk=dataset.pk).update(counts=counts)
            result = {"seconds": {"training": seconds, "startup": 2.0, "total": seconds + 2}}
            values = settle(stage, preset="paper", rows=counts, values=ASKED.get(stage))
            scene.run(stage, dataset=dataset, state="succeeded", result=result, inputs=asked, hyperparameters=values)

    def test_a_stage_that_never_ran_here_has_no_figure_yet(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        page = rosa.get(scene.address("rounds")).content.decode()
        assert "no figure yet: some stage has not run on a model of this size here" in page
        assert "the model's size is not known yet" in page

    def test_the_page_says_how_long_each_stage_and_all_will_take(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        self.ran(scene, Stage.SFT, Stage.SAMPLE, seconds=58.0)
        response = rosa.post(
            scene.address("rounds"), {"stages": ["sft"], "then": "none", "look": "1", "evaluation_prompts": "0"}
        )
        found = {each.stage: each.seconds for each in response.context["outlook"].estimates}
        assert found == {Stage.SFT: 60.0, Stage.EVALUATE: None, Stage.SAMPLE: 60.0}
        page = response.content.decode()
        assert '<th scope="row">Supervised fine-tuning</th><td class="number">1 min 0 s</td><td>1 run</td>' in page
        assert '<th scope="row">Evaluation</th><td class="number">–</td><td>no figure yet</td>' in page

    def test_the_cost_stands_beside_the_time(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        self.ran(
            scene, *(Stage(stage) for stage in ("sft", "reward_model", "ppo", "evaluate", "sample")), seconds=718.0
        )
        with override_settings(COMPUTE_RATE=(Decimal(2), "EUR")):
            response = rosa.get(scene.address("rounds"))
        assert response.context["outlook"].seconds is not None
        assert "and €" in response.content.decode()
