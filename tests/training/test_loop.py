"""The whole loop through HTTP, a Celery worker and trainer processes: people's work, a round, outputs back to people.

With DATABASE_URL and CELERY_BROKER_URL set (tests/team_services.py) the same test runs on those services.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from annotation.adding import NewPrompt, add_prompts
from annotation.models import Completion, Item, Split
from tests.algorithms.tiny import FAMILIES, build, sentences
from tests.processes import trainers, wait_for, worker
from tests.world import World, make_token, make_world
from training import generation, registry, runs
from training.models import Policy, Round, Stage, TrainingRun

PROMPTS = 24


class Person:
    """Somebody who works over the API alone."""

    def __init__(self, address: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=f"{address}/api/v1/", headers=headers, timeout=30)

    def close(self) -> None:
        self.http.close()

    def get(self, path: str) -> Any:
        return self.http.get(path).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        return self.http.post(path, json=body).raise_for_status().json()

    def work(self, kind: str) -> Iterator[dict[str, Any]]:
        """Take pieces of the kind until none waits, submitting each; what was shown."""
        taken = self.http.post("projects/capitals/queue/take/", json={"kinds": [kind]}).raise_for_status()
        shown = None if taken.status_code == 204 else taken.json()
        while shown is not None:
            yield shown
            answer = self.post(
                f"assignments/{shown['id']}/submit/",
                client_key=str(uuid.uuid4()), take_next=True, kinds=[kind], **self.answer(shown),
            )  # fmt: skip
            shown = answer["next"]

    def answer(self, shown: dict[str, Any]) -> dict[str, Any]:
        if shown["kind"] == "demonstration":
            return {"text": "good dog"}
        ordered = sorted(shown["completions"], key=lambda output: (len(output["text"]), output["text"]))
        return {"groups": [[output["id"]] for output in ordered]}


def make_loop(folder: Path, family: str) -> tuple[World, Policy]:
    """A project with prompts on both sides, and a tiny model of the family to start from."""
    world = make_world(k=2, demonstrations_per_prompt=1)
    base = registry.import_policy(world.project, source=str(build(family, folder / family)), name="base")
    add_prompts(
        world.project,
        [
            NewPrompt([{"role": "user", "content": text}], split=Split.TRAIN if number % 3 else Split.TEST)
            for number, text in enumerate(sentences(PROMPTS))
        ],
    )
    return world, base


def sampled(world: World, base: Policy) -> TrainingRun:
    return runs.create(
        world.project, stage=Stage.SAMPLE, user=world.rosa, base=base, preset="test",
        values=generation.sampling(world.project),
        inputs={"prompts": generation.choose_prompts(world.project, count=PROMPTS)},
    )  # fmt: skip


def ended(run: TrainingRun) -> TrainingRun | None:
    run.refresh_from_db()
    assert run.state != "failed", run.error
    return run if run.is_final else None


@pytest.mark.parametrize("family", FAMILIES)
def test_what_people_write_comes_back_to_them_as_a_new_models_outputs(
    live_server: Any, tmp_path: Path, family: str
) -> None:
    world, base = make_loop(tmp_path, family)
    with ExitStack() as exits:
        people = [Person(live_server.url, make_token(person)) for person in (world.alice, world.bob, world.rosa)]
        alice, bob, rosa = (exits.enter_context(closing(person)) for person in people)
        exits.enter_context(worker())
        first = sampled(world, base)
        wait_for(lambda: ended(first))
        shown = [*alice.work("demonstration"), *bob.work("ranking")]
        assert Counter(piece["kind"] for piece in shown)["demonstration"] == PROMPTS
        assert Counter(piece["kind"] for piece in shown)["ranking"] > 8

        started = rosa.post("projects/capitals/rounds/", preset="test", prompts=6, evaluation_prompts=4)
        path = f"rounds/{started['id']}/"
        done = wait_for(lambda: (row := rosa.get(path))["state"] != "running" and row, seconds=240, every=0.5)

        assert (done["state"], done["error"]) == ("published", "")
        assert [run["stage"] for run in reversed(done["runs"])] == ["sft", "reward_model", "ppo", "evaluate", "sample"]
        assert {run["state"] for run in done["runs"]} == {"succeeded"}
        assert {"kl", "pair_accuracy", "mean_reward", "mean_length"} <= done["figures"].keys()
        assert rosa.get(f"policies/{done['policy']}/")["family"] == ("seq2seq" if family == "t5" else "causal")
        steps = [row["step"] for row in rosa.get(f"runs/{done['runs'][2]['id']}/metrics/")["rows"]]
        assert steps == sorted(set(steps))
        assert steps

        policy = Policy.objects.get(pk=done["policy"])
        again = list(alice.work("ranking"))
        assert again
        for piece in again:
            assert "round-1" not in json.dumps(piece)
            assert piece["completions"]
        sft = Policy.objects.get(run=done["runs"][-1]["id"])
        new = Item.objects.filter(kind="ranking").order_by("-id")[: len(again)]
        generators = Completion.objects.filter(id__in=[pk for item in new for pk in item.completions])
        assert set(generators.values_list("generator", flat=True)) == {policy.generator_id, sft.generator_id}
        print(f"{family}: seconds {json.dumps(done['seconds'])}")  # the overhead, with pytest -s
        assert not any(trainers(run) for run in Round.objects.get(pk=started["id"]).runs.all())
