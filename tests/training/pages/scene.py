"""A project with a policy from elsewhere, and rounds and runs in whatever state a page test needs; no trainer runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from annotation.adding import NewPrompt, add_prompts
from annotation.models import Completion, Demonstration, Pool, Project, Prompt, Ranking, Split
from tests.world import World, make_ranking_item, make_world
from training import registry
from training.hyperparameters import settle
from training.models import Dataset, Gate, Policy, RewardModel, Round, RoundStage, Stage, TrainingRun

FIGURES = {"pair_accuracy": 0.768, "pairs": 1502, "kl": 4.31, "mean_length": 24.8, "mean_reward": 1.31}


GATE_RESULT = {
    "judgements": 200, "settled": 12, "wins": 110, "ties": 30, "losses": 60,
    "win_rate": {"value": 0.625, "low": 0.561, "high": 0.688, "prompts": 180},
    "win_rate_equal_length": {"value": 0.59, "low": 0.52, "high": 0.66, "prompts": 180},
}  # fmt: skip


@dataclass
class Scene:
    people: World
    project: Project
    base: Policy

    def address(self, name: str) -> str:
        return f"/projects/{self.project.slug}/{name}/"

    def make_ready(self) -> None:
        """Enough of everything for a round; which prompt feeds which learner is told by a hash of its text."""
        asked = [[{"role": "user", "content": f"How much is {number} and one?"}] for number in range(12)]
        prompts = add_prompts(self.project, [NewPrompt(messages, split=Split.TRAIN) for messages in asked])
        assert {prompt.pool for prompt in prompts} == set(Pool)
        reward = next(prompt for prompt in prompts if prompt.pool == Pool.REWARD)
        Demonstration.objects.create(prompt=reward, author=self.people.alice, text="This one.")
        shown = make_ranking_item(self.project, prompt=reward).completions
        Ranking.objects.create(prompt=reward, groups=[[each] for each in shown], shown=shown)

    def hold_out_an_answer(self) -> None:
        """By a person, to a prompt that no training sees."""
        Demonstration.objects.create(
            prompt=self.hold_out("What is held out?"), author=self.people.alice, text="This is."
        )

    def hold_out(self, text: str) -> Prompt:
        asked = [{"role": "user", "content": text}]
        (prompt,) = add_prompts(self.project, [NewPrompt(asked, split=Split.TEST)])
        return prompt

    def round(self, **fields: Any) -> Round:
        number = self.project.rounds.count() + 1
        options = {"publish": "auto", "preset": "auto", "hyperparameters": {}} | fields.pop("options", {})
        return Round.objects.create(project=self.project, number=number, base=self.base, options=options, **fields)

    def run(self, stage: Stage = Stage.SFT, **fields: Any) -> TrainingRun:
        defaults = {"base": self.base, "hyperparameters": settle(stage, preset="starter", rows={})}
        return TrainingRun.objects.create(project=self.project, stage=stage, **defaults | fields)

    def dataset(self) -> Dataset:
        files = {"rankings.jsonl": {"sha256": "ab" * 32, "rows": 1204, "bytes": 99_000}}
        left_out = {"rankings": {"all outputs tied": 14}}
        return Dataset.objects.create(
            project=self.project, files=files, counts={"rankings": 1204}, left_out=left_out, sha256="cd" * 32
        )

    def published_round(self) -> Round:
        """One that went all the way, with a policy, a reward model and outputs in the queue."""
        round = self.round(
            state="published", stage=RoundStage.SAMPLE, dataset=self.dataset(), figures=FIGURES, seconds={"ppo": 98.0}
        )
        reward = self.run(Stage.REWARD_MODEL, round=round, dataset=round.dataset, state="succeeded")
        round.reward_model = RewardModel.objects.create(
            project=self.project, run=reward, name="round-1-reward-model", parent=self.base, figures=FIGURES
        )
        ppo = self.run(Stage.PPO, round=round, dataset=round.dataset, state="succeeded", judge=round.reward_model)
        policy = registry.register_policy(
            self.project, name="round-1-ppo", source="x/y", parent=self.base, figures=FIGURES
        )
        Policy.objects.filter(pk=policy.pk).update(run=ppo)
        round.policy = policy
        round.save()
        queued = {"items": 1, "completions": 4, "empty": 0, "equal": 0, "spare": 0, "prompts_with_too_few": 0}
        item = make_ranking_item(self.project, generator="round-1-ppo")
        asked = {"prompts": [{"id": item.prompt_id}]}
        sampled = self.run(Stage.SAMPLE, round=round, state="succeeded", inputs=asked, result={"queued": queued})
        Completion.objects.filter(id__in=item.completions).update(sampling={"run": sampled.pk})
        return round

    def round_at_its_gate(self, *, state: str = "gate", **gate: Any) -> Round:
        """Its gate asks for 4 judgements, of which none is in."""
        number = self.project.rounds.count() + 1
        new = registry.register_policy(self.project, name=f"round-{number}-ppo", source="x/y", parent=self.base)
        options = {"publish": "gate", "gate_judgements": 4, "gate_bar": 0.5}
        round = self.round(
            state=state, stage=RoundStage.GATE, policy=new, gated_at=timezone.now(), figures=FIGURES, options=options
        )
        Gate.objects.create(**{"round": round, "rival": self.base, "judgements": 4, "bar": 0.5} | gate)
        return round


def build_scene() -> Scene:
    people = make_world()
    base = registry.register_policy(people.project, name="starter", source="someone/starter")
    return Scene(people, people.project, base)


def write_metrics(run: TrainingRun, rows: list[dict[str, Any]], *, half: str = "") -> None:
    run.output.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (run.output / "metrics.jsonl").write_text(lines + half)
