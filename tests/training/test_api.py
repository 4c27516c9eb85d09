"""The API of the training side: who gets what, and that it calls the verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from annotation.models import Ranking, User
from tests.training.carrying_on import carry_on
from tests.training.gating import judge
from tests.training.world import TEST, Lab
from training import rounds, runs
from training.datasets import freeze
from training.models import Policy, RewardModel, Round, Stage, TrainingRun

RESEARCHERS = {"rosa", "ada"}


def client(person: User | None) -> APIClient:
    made = APIClient()
    if person is not None:
        made.force_authenticate(person)
    return made


@pytest.fixture
def made(lab: Lab) -> dict[str, int]:
    """One row of each kind, by its number."""
    dataset, other = (freeze(lab.project, user=lab.rosa) for _number in range(2))
    round = rounds.start(lab.project, user=lab.rosa, options=TEST)
    run = runs.create(
        lab.project, stage=Stage.SFT, user=lab.rosa, round=round, dataset=dataset, base=lab.base, preset="test"
    )
    reward = RewardModel.objects.create(project=lab.project, name="reward", path="models/none", parent=lab.base)
    return {
        "dataset": dataset.pk, "other": other.pk,
        "round": round.pk, "run": run.pk, "policy": lab.base.pk, "reward_model": reward.pk,
    }  # fmt: skip


READ = [
    "projects/capitals/rounds/",
    "projects/capitals/runs/",
    "projects/capitals/curves/?run={run}",
    "projects/capitals/policies/",
    "projects/capitals/reward-models/",
    "projects/capitals/datasets/",
    "rounds/{round}/",
    "runs/{run}/",
    "runs/{run}/metrics/",
    "policies/{policy}/",
    "reward-models/{reward_model}/",
    "datasets/{dataset}/",
    "datasets/{dataset}/compare/{other}/",
]
CHANGE: list[tuple[str, dict[str, Any], int]] = [
    ("projects/capitals/rounds/estimate/", {}, 200),
    ("projects/capitals/rounds/", {"preset": "test"}, 409),
    ("projects/capitals/datasets/", {}, 201),
    ("projects/capitals/policies/", {"source": "org/name", "name": "x"}, 201),
    ("rounds/{round}/publish/", {}, 409),
    ("rounds/{round}/retry/", {}, 409),
    ("rounds/{round}/decision/", {"publish": True, "reason": "Why not?"}, 409),
    ("runs/{run}/retry/", {}, 409),
    ("runs/{run}/cancel/", {}, 200),
    ("rounds/{round}/cancel/", {}, 200),
]


def expected(person: str, *, allowed: int) -> int:
    """Members without the role are refused; to strangers nothing is there."""
    if person in RESEARCHERS:
        return allowed
    return 404 if person == "charlie" else 403


@pytest.mark.parametrize("path", READ)
def test_researchers_and_admins_read_and_nobody_else(lab: Lab, made: dict[str, int], path: str) -> None:
    url = "/api/v1/" + path.format(**made)
    for name, person in lab.people.everyone().items():
        assert client(person).get(url).status_code == expected(name, allowed=200), name
    assert client(None).get(url).status_code == 401


@pytest.mark.parametrize(("path", "body", "status"), CHANGE)
def test_researchers_and_admins_change_and_nobody_else(
    lab: Lab, made: dict[str, int], path: str, body: dict[str, Any], status: int
) -> None:
    url = "/api/v1/" + path.format(**made)
    others = {name: person for name, person in lab.people.everyone().items() if name not in RESEARCHERS}
    before = list(TrainingRun.objects.values_list("state")), list(Round.objects.values_list("state"))
    for name, person in others.items():
        assert client(person).post(url, body, format="json").status_code == expected(name, allowed=0), name
    assert client(None).post(url, body, format="json").status_code == 401
    assert (list(TrainingRun.objects.values_list("state")), list(Round.objects.values_list("state"))) == before
    assert client(lab.rosa).post(url, body, format="json").status_code == status


@pytest.mark.parametrize("path", [path for path in READ if "{" in path])
def test_what_does_not_exist_is_not_found(lab: Lab, path: str) -> None:
    nothing = dict.fromkeys(("round", "run", "policy", "reward_model", "dataset", "other"), 10**9)
    assert client(lab.rosa).get("/api/v1/" + path.format(**nothing)).status_code == 404


def test_a_round_is_started_with_its_options_and_shown_with_its_runs(lab: Lab) -> None:
    options = {"preset": "test", "publish": "manual", "hyperparameters": {"ppo": {"kl_coef": 0.5}}, "prompts": 3}
    answer = client(lab.rosa).post("/api/v1/projects/capitals/rounds/", options, format="json")
    assert answer.status_code == 201
    round = Round.objects.get(pk=answer.json()["id"])
    assert round.created_by == lab.rosa
    assert {name: round.options[name] for name in options} == options
    rounds.advance(round.pk)
    (run,) = client(lab.rosa).get(f"/api/v1/rounds/{round.pk}/").json()["runs"]
    assert (run["stage"], run["state"]) == ("sft", "queued")


def test_a_round_at_its_gate_tells_how_far_it_is_and_is_decided_about(lab: Lab) -> None:
    rosa = client(lab.rosa)
    started = rosa.post(
        "/api/v1/projects/capitals/rounds/",
        {**TEST, "publish": "gate", "gate_judgements": 8, "gate_bar": 0.55}, format="json",
    ).json()  # fmt: skip
    assert "gate" in started["stages"]
    assert started["gate"] is None
    carry_on(Round.objects.get(pk=started["id"]))
    judge(lab, lab.people.alice, lambda _number: 1.0, most=3)
    path = f"/api/v1/rounds/{started['id']}/"
    seen = rosa.get(path).json()
    assert (seen["state"], seen["gate"]["judged"], seen["gate"]["judgements"]) == ("gate", 3, 8)
    assert (seen["gate"]["bar"], seen["gate"]["result"], seen["gate"]["outcome"]) == (0.55, {}, "")
    assert rosa.post(f"{path}decision/", {"publish": True}, format="json").status_code == 400
    assert rosa.post(f"{path}decision/", {"publish": False, "reason": "Too rude."}, format="json").status_code == 200
    seen = rosa.get(path).json()
    assert seen["state"] == "rejected"
    (decision,) = seen["decisions"]
    assert (decision["publish"], decision["reason"], decision["made_by"]) == (False, "Too rude.", lab.rosa.pk)


def test_a_round_of_other_stages_is_started_and_says_which(lab: Lab) -> None:
    options = {"preset": "test", "stages": ["dpo", "sft"]}
    answer = client(lab.rosa).post("/api/v1/projects/capitals/rounds/", options, format="json")
    assert answer.status_code == 201
    assert answer.json()["stages"] == ["freeze", "sft", "dpo", "evaluate", "publish", "sample"]


def test_a_round_that_lacks_something_is_refused_by_what_it_lacks(lab: Lab) -> None:
    answer = client(lab.rosa).post("/api/v1/projects/capitals/rounds/", {"stages": ["ppo"]}, format="json")
    assert (answer.status_code, "no reward model yet" in answer.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"publish": "perhaps"}, 400),
        ({"stages": ["gate"]}, 400),
        ({"stages": ["ppo", "dpo"]}, 409),
        ({"hyperparameters": {"ppo": {"x": 1}}}, 409),
        ({"prompts": -1}, 400),
    ],
)
def test_senseless_options_are_refused_with_a_reason(lab: Lab, options: dict[str, Any], status: int) -> None:
    answer = client(lab.rosa).post("/api/v1/projects/capitals/rounds/", options, format="json")
    assert answer.status_code == status
    assert answer.json()
    assert not Round.objects.exists()


def test_a_model_that_is_none_is_refused_with_a_reason(lab: Lab, tmp_path: Path) -> None:
    body = {"source": str(tmp_path), "name": "x"}
    answer = client(lab.rosa).post("/api/v1/projects/capitals/policies/", body, format="json")
    assert answer.status_code == 400
    assert "config.json" in answer.json()["source"]
    assert Policy.objects.count() == 1


def test_freezing_nothing_is_refused_with_counts(lab: Lab) -> None:
    Ranking.objects.all().delete()
    answer = client(lab.rosa).post("/api/v1/projects/capitals/datasets/", {}, format="json")
    assert answer.status_code == 409
    assert "rankings: 0 found" in answer.json()["detail"]


def test_metrics_are_rows_by_step_and_a_step_logged_twice_counts_once(lab: Lab, made: dict[str, int]) -> None:
    run = TrainingRun.objects.get(pk=made["run"])
    run.folder.mkdir(parents=True)
    lines = ['{"step": 1, "loss": 3.0}', '{"step": 2, "loss": 2.0}', '{"step": 2, "loss": 1.5}', '{"step": 3, "lo']
    (run.folder / "metrics.jsonl").write_text("\n".join(lines))
    rows = client(lab.rosa).get(f"/api/v1/runs/{run.pk}/metrics/").json()["rows"]
    assert rows == [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 1.5}]


@pytest.mark.parametrize("path", READ)
def test_reading_changes_nothing(lab: Lab, made: dict[str, int], path: str) -> None:
    before = [list(model.objects.order_by("pk").values()) for model in (Round, TrainingRun, Policy, RewardModel)]
    client(lab.rosa).get("/api/v1/" + path.format(**made))
    assert [
        list(model.objects.order_by("pk").values()) for model in (Round, TrainingRun, Policy, RewardModel)
    ] == before
