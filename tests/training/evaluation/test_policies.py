"""A policy measured against people's held-out answers: what is asked, what becomes of it, and who may."""

from __future__ import annotations

import json
from typing import Any

import pytest

from annotation.models import AuditEntry, Demonstration, Prompt, PromptKind, Split
from tests.training.world import Lab
from training import runs
from training.datasets import freeze
from training.evaluation import EvaluationRefused, measuring, policies
from training.evaluation.text_measures import Answered, measure
from training.hyperparameters import InputError
from training.models import Dataset, RunState, Stage, TrainingRun


def sampled(run: TrainingRun, *, reward: bool = False) -> None:
    """The run is done, and the policy has said the prompt's second word and one word more."""
    run.folder.mkdir(parents=True, exist_ok=True)
    said = [
        {
            "id": row["id"],
            "prompt": row["prompt"],
            "completions": [
                {"text": f"{row['prompt'].split()[1]} {more}", "tokens": number, "finished": number == 2}
                | ({"reward": float(number)} if reward else {})
                for number, more in ((2, "yes"), (4, "no"))
            ],
        }
        for row in run.inputs["prompts"]
    ]
    (run.folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    TrainingRun.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED, result={"completions": 16})


def measured(run: TrainingRun) -> dict[str, Any]:
    measuring.measure(run.pk)
    run.refresh_from_db()
    found: dict[str, Any] = run.result["evaluation"]
    return found


def test_it_answers_each_held_out_prompt_that_people_answered_and_no_other(lab: Lab) -> None:
    twice = lab.prompts(Split.TEST)[0]
    lab.demonstrate(twice, "another answer")
    dataset = freeze(lab.project, user=None)
    run = policies.start(lab.base, user=lab.rosa, dataset=dataset, completions=2, temperature=0.5)
    held_out = {each.prompt_id for each in Demonstration.objects.exclude(prompt__split=Split.TRAIN)}
    assert {row["id"] for row in run.inputs["prompts"]} == held_out
    assert len(run.inputs["prompts"]) == 8
    assert (run.stage, run.dataset, run.base, run.judge) == (Stage.SAMPLE, dataset, lab.base, None)
    assert (run.hyperparameters["completions"], run.hyperparameters["temperature"]) == (2, 0.5)
    noted = AuditEntry.objects.get(action="evaluated")
    assert (noted.actor_id, noted.details) == (lab.rosa.pk, {"model": lab.base.pk, "dataset": dataset.pk})


def test_fewer_prompts_are_the_same_ones_every_time_and_part_of_more(lab: Lab) -> None:
    dataset = freeze(lab.project, user=None)
    few, again, more = (
        policies.start(lab.base, user=None, dataset=dataset, prompts=count).inputs["prompts"] for count in (3, 3, 6)
    )
    assert few == again == more[:3]


def test_its_figures_are_those_of_its_outputs_beside_peoples_answers_over_all_and_by_group(lab: Lab) -> None:
    prompts = lab.prompts(Split.TEST)[:8]
    Prompt.objects.filter(pk__in=[each.pk for each in prompts[:3]]).update(language="zh", use_case="chat")
    Prompt.objects.filter(pk=prompts[0].pk).update(kind=PromptKind.FEW_SHOT)
    run = policies.start(lab.base, user=None, dataset=freeze(lab.project, user=None))
    sampled(run, reward=True)
    found = measured(run)
    assert (found["prompts"], found["outputs"]) == (8, 16)
    by_hand = [
        Answered([f"{word} yes", f"{word} no"], [word], language)
        for prompt, language in zip(prompts, ["zh"] * 3 + ["en"] * 5, strict=True)
        for word in [prompt.text.split()[1]]
    ]
    expected = {name: pytest.approx(each.value, rel=1e-5) for name, each in measure(by_hand).items()}
    assert {name: found["overall"][name]["value"] for name in expected} == expected
    assert {name: found["overall"][name]["value"] for name in ("length", "finished", "reward")} == {
        "length": 3, "finished": 0.5, "reward": 3,
    }  # fmt: skip
    groups = found["groups"]
    assert {name: set(values) for name, values in groups.items()} == {
        "use_case": {"chat", "other"}, "language": {"en", "zh"}, "kind": {"few_shot", "plain"},
    }  # fmt: skip
    in_chinese = measure(by_hand[:3])["bleu"].value
    assert groups["language"]["zh"]["bleu"]["value"] == pytest.approx(in_chinese, rel=1e-5)
    assert groups["language"]["zh"]["bleu"]["low"] is None
    assert groups["kind"]["few_shot"]["rouge_l"]["prompts"] == 1
    assert run.result["completions"] == 16


def test_no_judge_no_reward(lab: Lab) -> None:
    run = policies.start(lab.base, user=None, dataset=freeze(lab.project, user=None))
    sampled(run)
    assert "reward" not in measured(run)["overall"]


def test_a_reward_that_is_no_number_is_left_out(lab: Lab) -> None:
    run = policies.start(lab.base, user=None, dataset=freeze(lab.project, user=None))
    sampled(run, reward=True)
    path = run.folder / "samples.jsonl"
    path.write_text(path.read_text().replace('"reward": 2.0', '"reward": NaN', 1))
    found = measured(run)["overall"]
    assert "reward" not in found
    assert "bleu" in found


def test_a_run_is_measured_once_when_it_has_ended_and_the_sweep_reminds(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = policies.start(lab.base, user=None, dataset=freeze(lab.project, user=None))
    measuring.measure(run.pk)
    run.refresh_from_db()
    assert run.result == {}
    sampled(run)
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(measuring, "nudge", lambda task, pk: asked.append((task, pk)))
    measuring.sweep()
    assert asked == [("measure", run.pk)]
    first = measured(run)
    (run.folder / "samples.jsonl").unlink()
    assert measured(run) == first
    measuring.sweep()
    assert len(asked) == 1
    assert list(TrainingRun.objects.evaluations()) == [run]


def test_what_can_not_be_read_is_noted_and_not_tried_again(lab: Lab) -> None:
    run = policies.start(lab.base, user=None, dataset=freeze(lab.project, user=None))
    sampled(run)
    (run.folder / "samples.jsonl").write_text("{")
    assert "JSONDecodeError" in measured(run)["problem"]
    assert not TrainingRun.objects.unmeasured().exists()
    assert not TrainingRun.objects.evaluations().exists()


def test_without_held_out_answers_it_is_refused_with_the_way_out(lab: Lab) -> None:
    Demonstration.objects.filter(prompt__split=Split.TEST).delete()
    dataset = freeze(lab.project, user=None)
    with pytest.raises(EvaluationRefused, match=f"Dataset {dataset.pk} holds no answers by people to prompts"):
        policies.start(lab.base, user=None, dataset=dataset)
    other = Dataset.objects.create(project=lab.people.next_door)
    with pytest.raises(EvaluationRefused, match="of another project"):
        policies.start(lab.base, user=None, dataset=other)
    assert not TrainingRun.objects.exists()


def test_senseless_numbers_are_refused(lab: Lab) -> None:
    dataset = freeze(lab.project, user=None)
    with pytest.raises(InputError, match="temperature"):
        policies.start(lab.base, user=None, dataset=dataset, temperature=-1)
    assert not AuditEntry.objects.filter(action="evaluated").exists()


def test_a_real_policy_answers_is_measured_and_nothing_goes_in_the_queue(lab: Lab) -> None:
    run = policies.start(lab.base, user=None, dataset=freeze(lab.project, user=None), completions=2)
    before = lab.project.items.count()
    runs.execute(run.pk)
    found = measured(run)
    assert run.state == RunState.SUCCEEDED, run.error
    assert (found["prompts"], found["outputs"]) == (8, 16)
    assert 0 <= found["overall"]["chrf"]["value"] <= 100
    assert found["overall"]["chrf"]["low"] <= found["overall"]["chrf"]["value"] <= found["overall"]["chrf"]["high"]
    assert lab.project.items.count() == before
