from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.training.pages.scene import Scene, write_metrics
from training import registry
from training.models import Policy, Round, Stage, TrainingRun


def text(client: Client, address: str, **headers: Any) -> str:
    response = client.get(address, headers=headers)
    assert response.status_code == 200
    return str(response.content.decode())


class TestStarting:
    def test_an_empty_project_says_what_is_missing_and_how_much(self, scene: Scene, rosa: Client) -> None:
        Policy.objects.all().delete()
        page = text(rosa, scene.address("rounds"))
        assert "0 answers to training prompts, at least 1 needed." in page
        assert "0 rankings of training prompts that feed the reward model, at least 1 needed." in page
        assert "0 training prompts that feed the policy, at least 1 needed." in page
        assert "There is no model to start from" in page
        assert 'button--primary" disabled' in page
        assert "No round yet" in page

    def test_a_project_with_too_little_is_refused_whoever_presses(self, scene: Scene, rosa: Client) -> None:
        response = rosa.post(scene.address("rounds"))
        assert response.status_code == 422
        assert "at least 1 needed" in response.content.decode()
        assert not Round.objects.exists()

    def test_one_button_is_enough(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        assert 'button--primary">Start a round' in text(rosa, scene.address("rounds"))
        response = rosa.post(scene.address("rounds"))
        assert response["Location"] == scene.address("rounds/1")
        started = Round.objects.get()
        assert started.base == scene.base
        assert started.created_by == scene.people.rosa
        assert started.options["hyperparameters"] == {}
        assert started.options["publish"] == "auto"

    def test_the_form_as_it_is_shown_means_the_same(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        form = rosa.get(scene.address("rounds")).context["form"]
        shown = {name: value for field in form if (value := field.value()) is not None for name in [field.html_name]}
        rosa.post(scene.address("rounds"), {**shown, "base": scene.base.pk})
        assert Round.objects.get().options["hyperparameters"] == {}
        assert Round.objects.get().options["prompts"] == 64

    def test_another_round_begins_with_the_settings_of_one_that_ended(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        ended = scene.published_round()
        options = {"preset": "test", "publish": "manual", "prompts": 7, "evaluation_prompts": 9, "seed": 3}
        values = {"sft": {"learning_rate": 0.002, "packing": True}, "ppo": {"kl_coef": 0.4}}
        Round.objects.filter(pk=ended.pk).update(options={**options, "hyperparameters": values, "filters": {}})
        page = text(rosa, scene.address(f"rounds/{ended.number}"))
        assert "rounds/?like=1" in page
        form = rosa.get(scene.address("rounds") + "?like=1").context["form"]
        shown = {name: value for field in form if (value := field.value()) is not None for name in [field.html_name]}
        rosa.post(scene.address("rounds") + "?like=1", {**shown, "ppo__kl_coef": "0.5"})
        again = Round.objects.latest("pk")
        assert again.base == ended.base
        assert options.items() <= again.options.items()
        assert again.options["hyperparameters"]["sft"] == values["sft"] | {"packing": "true"}
        assert again.options["hyperparameters"]["ppo"] == {"kl_coef": 0.5}

    def test_a_round_like_none_is_an_ordinary_one(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        for number in ("99", "x", "9" * 40):
            assert rosa.get(scene.address("rounds") + f"?like={number}").context["like"] is None

    def test_what_was_changed_goes_into_the_options(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        chosen = {
            "publish": "manual",
            "ppo__kl_coef": "0.3",
            "sft__epochs": "",
            "reward_model__ties": "half",
            "seed": "7",
        }
        rosa.post(scene.address("rounds"), chosen)
        options = Round.objects.get().options
        assert options["hyperparameters"] == {"ppo": {"kl_coef": 0.3}, "reward_model": {"ties": "half"}}
        assert (options["publish"], options["seed"]) == ("manual", 7)

    def test_a_value_out_of_bounds_is_refused_beside_its_field(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        response = rosa.post(scene.address("rounds"), {"ppo__gamma": "2"})
        assert response.status_code == 422
        assert response.context["form"].errors["ppo__gamma"]
        assert "Some settings can't be used; each says why." in response.content.decode()
        assert not Round.objects.exists()

    def test_settings_that_do_not_fit_each_other_are_refused_by_stage(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        response = rosa.post(scene.address("rounds"), {"ppo__batch_size": "10", "ppo__minibatch_size": "4"})
        [error] = response.context["form"].non_field_errors()
        assert error.startswith("PPO: batch_size is 10 and minibatch_size 4")
        assert not Round.objects.exists()

    def test_another_preset_shows_its_own_values(self, scene: Scene, rosa: Client) -> None:
        fragment = text(rosa, scene.address("rounds") + "?preset=test&ppo__kl_coef=0.3", HX_Request="true")
        assert "<h1" not in fragment
        assert 'value="0.3"' in fragment
        assert "Completions sampled and learnt from in all. Empty: 24." in fragment

    def test_a_policy_of_another_project_can_not_be_the_base(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        policy = registry.register_policy(scene.people.next_door, name="theirs", source="a/b")
        response = rosa.post(scene.address("rounds"), {"base": policy.pk})
        assert "base" in response.context["form"].errors
        assert not Round.objects.exists()

    def test_while_one_runs_there_is_no_second_button(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        scene.round(stage="ppo")
        page = text(rosa, scene.address("rounds"))
        assert "Round 1 is running: PPO." in page
        assert "Start a round</button>" not in page


class TestRunning:
    def test_the_page_shows_progress_time_left_and_curves_and_asks_again(self, scene: Scene, rosa: Client) -> None:
        round = scene.round(stage="sft", seconds={"freeze": 0.8})
        run = scene.run(round=round, state="running", step=30, total_steps=120, latest={"seconds": 20.0})
        write_metrics(run, [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5}], half='{"step": 3, "lo')
        page = text(rosa, scene.address("rounds/1"))
        assert "Step 30 of 120" in page
        assert "about 1 min 0 s left" in page
        assert "training rows: from 2 at step 1 to 1.5 at step 2" in page
        assert 'hx-trigger="every 2s"' in page
        assert "Cancel the round" in page

    def test_the_fragment_holds_what_moves_and_nothing_else(self, scene: Scene, rosa: Client) -> None:
        scene.round(stage="sft")
        fragment = text(rosa, scene.address("rounds/1") + "?phase=running", HX_Request="true")
        assert fragment.strip().startswith('<div id="round-live"')
        assert "<html" not in fragment

    def test_where_something_else_has_changed_the_page_is_loaded_anew(self, scene: Scene, rosa: Client) -> None:
        scene.round(state="failed", error="broken")
        response = rosa.get(scene.address("rounds/1") + "?phase=running", headers={"HX-Request": "true"})
        assert response["HX-Refresh"] == "true"

    def test_a_run_that_no_worker_takes_says_so(self, scene: Scene, rosa: Client) -> None:
        run = scene.run(round=scene.round(stage="sft"))
        assert "Waiting for a worker." in text(rosa, scene.address("rounds/1"))
        TrainingRun.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(minutes=1))
        assert "Is a worker for the training queue running?" in text(rosa, scene.address("rounds/1"))

    def test_it_can_be_cancelled(self, scene: Scene, rosa: Client) -> None:
        run = scene.run(round=scene.round(stage="sft"))
        assert rosa.post(scene.address("rounds/1/cancel"))["Location"] == scene.address("rounds/1")
        run.refresh_from_db()
        assert (Round.objects.get().state, run.state) == ("cancelled", "cancelled")
        page = text(rosa, scene.address("rounds/1"))
        assert "This round was cancelled." in page
        assert "every 2s" not in page


class TestFailed:
    REASON = "rankings.jsonl has 3 rows of <b>too many</b> tokens."

    def failed(self, scene: Scene) -> TrainingRun:
        round = scene.round(state="failed", stage="reward_model", error=self.REASON)
        return scene.run(Stage.REWARD_MODEL, round=round, state="failed", error=self.REASON)

    def test_the_reason_stands_at_the_top_as_text(self, scene: Scene, rosa: Client) -> None:
        self.failed(scene)
        page = text(rosa, scene.address("rounds/1"))
        assert "It failed at: Reward model" in page
        assert "3 rows of &lt;b&gt;too many&lt;/b&gt; tokens" in page
        assert "<b>too many" not in page
        assert "Try again" in page

    def test_trying_again_goes_on_from_the_stage(self, scene: Scene, rosa: Client) -> None:
        run = self.failed(scene)
        rosa.post(scene.address("rounds/1/retry"))
        run.refresh_from_db()
        assert (Round.objects.get().state, run.state) == ("running", "queued")

    def test_a_refusal_is_said_on_the_page(self, scene: Scene, rosa: Client) -> None:
        self.failed(scene)
        response = rosa.post(scene.address("rounds/1/cancel"), follow=True)
        assert "This round has ended; there is nothing to cancel." in response.content.decode()


class TestWaitingForPublication:
    def waiting(self, scene: Scene) -> Round:
        policy = Policy.objects.get(pk=scene.base.pk)
        return scene.round(stage="publish", policy=policy, options={"publish": "manual"}, figures={"kl": 0.0})

    def test_it_says_that_it_waits_and_shows_the_figures(self, scene: Scene, rosa: Client) -> None:
        self.waiting(scene)
        page = text(rosa, scene.address("rounds/1"))
        assert "waits to be published" in page
        assert ">Publish</button>" in page
        assert "<dd>0</dd>" in page  # a KL of 0 is a figure too

    def test_publishing_moves_it_on(self, scene: Scene, rosa: Client) -> None:
        self.waiting(scene)
        rosa.post(scene.address("rounds/1/publish"))
        round = Round.objects.get()
        assert (round.stage, round.published_by) == ("sample", scene.people.rosa)
        assert Policy.objects.get(pk=round.policy_id).published_at is not None

    def test_one_that_publishes_itself_does_not_ask(self, scene: Scene, rosa: Client) -> None:
        scene.round(stage="publish")
        assert ">Publish</button>" not in text(rosa, scene.address("rounds/1"))


class TestPublished:
    def test_the_figures_say_what_they_mean(self, scene: Scene, rosa: Client) -> None:
        scene.published_round()
        page = text(rosa, scene.address("rounds/1"))
        assert "<dd>0.768</dd>" in page
        assert "agrees with people on 1,502 held-out pairs; guessing gives 0.5" in page
        assert "<dd>4.31</dd>" in page
        assert "4 outputs; 0 sets ranked so far" in page
        assert "1,204 to learn from" in page
        assert "all outputs tied" in page
        assert "every 2s" not in page

    def test_the_reward_before_and_after_is_that_of_ppos_first_and_last_step(self, scene: Scene, rosa: Client) -> None:
        run = scene.published_round().runs.get(stage="ppo")
        write_metrics(run, [{"step": step, "objective/reward": step - 2.5} for step in range(1, 5)])
        assert "-1.5 → 1.5" in text(rosa, scene.address("rounds/1"))

    def test_samples_stand_beside_each_other_as_text(self, scene: Scene, rosa: Client) -> None:
        run = scene.published_round().runs.get(stage="ppo")
        run.output.mkdir(parents=True, exist_ok=True)
        looks = [
            {"step": step, "samples": [{"prompt": "Say <i>hi</i>.", "text": said, "reward": reward}]}
            for step, said, reward in ((0, "", -1.0), (5, "between", 0.0), (9, "Hi & <b>hello</b>", 1.25))
        ]
        (run.output / "fixed_samples.jsonl").write_text("".join(json.dumps(look) + "\n" for look in looks))
        page = text(rosa, scene.address("rounds/1"))
        assert "Say &lt;i&gt;hi&lt;/i&gt;." in page
        assert "(nothing)" in page
        assert "Hi &amp; &lt;b&gt;hello&lt;/b&gt;" in page
        assert "between" not in page

    def test_the_list_shows_its_figures(self, scene: Scene, rosa: Client) -> None:
        scene.published_round()
        page = text(rosa, scene.address("rounds"))
        assert '<td class="number">0.768</td>' in page
        assert '<td class="number">1,204</td>' in page
        assert "round-1-ppo" in page


@pytest.mark.parametrize("number", [2, 99])
def test_a_round_that_is_not_there_is_not_found(scene: Scene, rosa: Client, number: int) -> None:
    scene.round()
    assert rosa.get(scene.address(f"rounds/{number}")).status_code == 404


def test_samples_with_ends_of_lines_of_every_kind_in_their_texts_are_shown(scene: Scene, rosa: Client) -> None:
    """U+2028, U+2029 and U+0085 end a line to Python, and JSON leaves them as they are."""
    run = scene.published_round().runs.get(stage=Stage.PPO)
    said = {"prompt": "Name\u2028two", "text": "One\u2029and\x85two", "reward": 0.5}
    looks = [{"step": step, "samples": [said | {"text": f"{said['text']} {step}"}]} for step in (1, 2)]
    run.output.mkdir(parents=True)
    (run.output / "fixed_samples.jsonl").write_text(
        "".join(json.dumps(look, ensure_ascii=False) + "\n" for look in looks), encoding="utf-8"
    )
    page = text(rosa, scene.address("rounds/1"))
    assert "One\u2029and\x85two 1" in page
    assert "One\u2029and\x85two 2" in page
