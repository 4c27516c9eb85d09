"""A policy measured with people's answers before each prompt: which they are, that they are kept, where it is told."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client

from annotation.models import Demonstration, Prompt, Split
from tests.training.evaluation.test_policies import measured, sampled
from tests.training.pages.scene import Scene, build_scene
from tests.training.pages.test_evaluations import evaluation
from tests.training.world import Lab
from training import runs, withdrawals
from training.datasets import freeze
from training.evaluation import EvaluationRefused, policies, report
from training.evaluation.examples import TooFew, before
from training.models import Policy, RunState, TrainingRun

ANSWERS = [
    {"id": number, "prompt": f"Q{number}", "completion": f"A{number}", "language": "zh" if number > 6 else "en"}
    for number in range(1, 10)
]


@pytest.fixture
def scene(db: None) -> Scene:
    return build_scene()


@pytest.fixture
def rosa(scene: Scene) -> Client:
    client = Client()
    client.force_login(scene.people.rosa)
    return client


def asked(number: int, language: str = "en", prompt: Any = "Now you") -> dict[str, Any]:
    return {"id": number, "prompt": prompt, "language": language}


def test_examples_are_turns_before_the_prompt_in_its_language() -> None:
    english, chinese = before([asked(1), asked(2, "zh")], ANSWERS, shots=3, seed=0)
    for row, language in ((english, "en"), (chinese, "zh")):
        said = [(turn["role"], turn["content"]) for turn in row["prompt"]]
        numbers = row["examples"]
        assert said == [
            turn for number in numbers for turn in (("user", f"Q{number}"), ("assistant", f"A{number}"))
        ] + [("user", "Now you")]
        assert len(set(numbers)) == 3
        assert {each["language"] for each in ANSWERS if each["id"] in numbers} == {language}


def test_a_chat_follows_its_examples_as_it_is_and_may_be_one_itself() -> None:
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    (row,) = before([asked(1, prompt=chat)], [ANSWERS[0] | {"prompt": chat}], shots=1, seed=0)
    assert [turn["content"] for turn in row["prompt"]] == ["a", "b", "c", "A1", "a", "b", "c"]


def test_the_seed_decides_which_and_each_prompt_has_its_own() -> None:
    rows = [asked(number) for number in range(20)]
    first, again, other = ([row["examples"] for row in before(rows, ANSWERS, shots=2, seed=seed)] for seed in (4, 4, 5))
    assert first == again != other
    assert len({tuple(each) for each in first}) > 5
    assert [row["examples"] for row in before(rows[7:], ANSWERS, shots=2, seed=4)] == first[7:]


def test_where_a_language_has_too_few_answers_others_stand_in_and_too_few_of_all_are_refused() -> None:
    (row,) = before([asked(1, "zh")], ANSWERS, shots=5, seed=0)
    assert len(row["examples"]) == 5
    with pytest.raises(TooFew, match="9 answers"):
        before([asked(1)], ANSWERS, shots=10, seed=0)
    twice = [ANSWERS[0], ANSWERS[0] | {"id": 77}]
    with pytest.raises(TooFew, match="1 answers"):
        before([asked(1)], twice, shots=2, seed=0)


def test_an_evaluation_keeps_its_examples_and_none_is_of_a_prompt_that_is_asked(lab: Lab) -> None:
    dataset = freeze(lab.project, user=None)
    run = policies.start(lab.base, user=lab.rosa, dataset=dataset, shots=2, seed=9)
    assert (run.inputs["shots"], run.inputs["seed"]) == (2, 9)
    used = {number for row in run.inputs["prompts"] for number in row["examples"]}
    assert {each.prompt.split for each in Demonstration.objects.filter(pk__in=used)} == {Split.TRAIN}
    plain = policies.start(lab.base, user=None, dataset=dataset)
    assert [row["id"] for row in plain.inputs["prompts"]] == [row["id"] for row in run.inputs["prompts"]]
    assert all(isinstance(row["prompt"], str) for row in plain.inputs["prompts"])
    with pytest.raises(EvaluationRefused, match="holds answers to 8 training prompts, and 9 are to stand"):
        policies.start(lab.base, user=None, dataset=dataset, shots=9)


def test_who_is_erased_stands_as_an_example_nowhere(lab: Lab) -> None:
    run = policies.start(lab.base, user=None, dataset=freeze(lab.project, user=None), shots=1)
    sampled_with_turns(run)
    gone = run.inputs["prompts"][0]["examples"][0]
    led = {row["id"] for row in run.inputs["prompts"] if gone in row["examples"]}
    ids = {"prompts": set(), "rankings": set(), "demonstrations": {gone}}
    withdrawals._erase_from_run(run, ids, learnt_from_it=False)
    run.refresh_from_db()
    assert led
    assert led.isdisjoint(row["id"] for row in run.inputs["prompts"])
    said = [json.loads(line) for line in (run.folder / "samples.jsonl").read_text().splitlines()]
    assert {row["id"] for row in said} == {row["id"] for row in run.inputs["prompts"]}
    assert len(said) == 8 - len(led)


def sampled_with_turns(run: TrainingRun) -> None:
    words = Prompt.objects.in_bulk([row["id"] for row in run.inputs["prompts"]])
    turns = run.inputs["prompts"]
    run.inputs["prompts"] = [row | {"prompt": words[row["id"]].text} for row in turns]
    sampled(run)
    run.inputs["prompts"] = turns


def test_a_real_policy_is_measured_with_examples(lab: Lab) -> None:
    run = policies.start(lab.base, user=None, dataset=freeze(lab.project, user=None), shots=2)
    runs.execute(run.pk)
    found = measured(run)
    assert run.state == RunState.SUCCEEDED, run.error
    assert (found["prompts"], found["outputs"]) == (8, 8)
    asked = json.loads((run.folder / "samples.jsonl").read_text().splitlines()[0])["prompt"]
    assert [turn["role"] for turn in asked] == ["user", "assistant"] * 2 + ["user"]


@pytest.fixture
def both(scene: Scene) -> Policy:
    """A policy evaluated without examples, then with three, on other data."""
    round = scene.published_round()
    evaluation(scene, scene.base, dataset=round.dataset)
    told = {"evaluation": True, "shots": 3, "seed": 1}
    evaluation(scene, scene.base, bleu=31.25, dataset=scene.dataset(), inputs=told)
    return scene.base


def test_its_page_shows_both_the_one_under_the_other(rosa: Client, both: Policy) -> None:
    page = " ".join(rosa.get(f"/policies/{both.pk}/").content.decode().split())
    plain, few_shot = page.index("<h3>Zero-shot</h3>"), page.index("<h3>Few-shot</h3>")
    assert plain < page.index("<dd>23.5</dd>") < few_shot < page.index("<dd>31.2</dd>")
    assert "3 answers by people to training prompts stood before each prompt (seed 1)" in page[few_shot:]
    assert page.count('id="evaluation-') == len(set(page.split('id="evaluation-')[1:]))


def test_table_and_file_have_a_column_of_its_own(scene: Scene, rosa: Client, both: Policy) -> None:
    address = scene.address("models/compare").rstrip("/")
    page = rosa.get(f"{address}/").content.decode()
    assert "BLEU, few-shot" in page
    assert "Examples before each prompt" in page
    rows = list(csv.DictReader(io.StringIO(rosa.get(f"{address}.csv").content.decode("utf-8-sig"))))
    line = next(row for row in rows if row["model"] == both.name)
    assert (line["evaluation/bleu"], line["evaluation/few_shot/bleu"]) == ("23.456", "31.25")
    assert line["evaluation/few_shot/shots"] == "3"
    runs_of = TrainingRun.objects.evaluations()
    assert line["few_shot/run"] == str(runs_of.few_shot().get().pk) != line["run"]
    assert line["few_shot/dataset"] != line["dataset"]


def test_the_report_tells_both_by_use_case_and_language(scene: Scene, both: Policy) -> None:
    made = report.compose(scene.project, [f"policy-{both.pk}"])
    for said in (report.as_html(made), report.as_markdown(made)["report.md"]):
        assert "BLEU, few-shot" in said
        assert said.count("By language") == 2
        assert said.count("3 answers by people to training prompts stood before each prompt") == 1


def test_the_form_and_scripts_ask_for_examples(scene: Scene, rosa: Client) -> None:
    scene.make_ready()
    scene.hold_out_an_answer()
    dataset = freeze(scene.project, user=None)
    given = {"dataset": dataset.pk, "prompts": 7, "completions": 1, "temperature": 1, "shots": 1, "seed": 3}
    rosa.post(f"/policies/{scene.base.pk}/evaluate/", given)
    rosa.post(f"/api/v1/policies/{scene.base.pk}/evaluate/", {"shots": 1, "seed": 4}, content_type="application/json")
    assert [(run.inputs["shots"], run.inputs["seed"]) for run in TrainingRun.objects.order_by("pk")] == [(1, 3), (1, 4)]
    refused = rosa.post(f"/policies/{scene.base.pk}/evaluate/", given | {"shots": 5})
    assert "holds answers to 1 training prompts" in refused.content.decode()
