"""Who works on what while things are killed: four annotators, one who walks away, Rosa's runs and rounds."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from annotation.adding import NewPrompt, add_prompts
from annotation.assignment import take
from annotation.models import Assignment, Project, Prompt, Role, User
from tests.training.world import Lab, build_lab
from tests.world import make_person, make_ranking_item, make_token
from training import rounds, runs
from training.datasets import freeze
from training.models import Dataset, Stage, TrainingRun
from training.options import RoundRefused

ANNOTATORS = ("alice", "bob", "carol", "dave")
WALKS_AWAY = "wanda"
PROMPTS, SETS = 3_000, 600
EVERY = 6  # of so many things to do one is a whole round
LENGTHS: dict[str, dict[str, Any]] = {  # a second or two of training, a checkpoint every few steps
    Stage.SFT: {"epochs": 0, "max_steps": 150, "checkpoint_seconds": 0.2},
    Stage.REWARD_MODEL: {"epochs": 60.0, "checkpoint_seconds": 0.2},
}
ROUND = {"preset": "test", "prompts": 4, "evaluation_prompts": 4, "stages": ["sft", "reward_model"]}


@dataclass
class Scene:
    lab: Lab
    dataset: Dataset
    tokens: dict[str, str]
    wanda: User

    @property
    def project(self) -> Project:
        return self.lab.project

    def start(self, stage: str) -> TrainingRun:
        """A run whose weights are known: the same dataset, base and settings each time."""
        return runs.create(
            self.project, stage=Stage(stage), user=self.lab.rosa, dataset=self.dataset, base=self.lab.base,
            preset="test", values=LENGTHS[stage],
        )  # fmt: skip

    def start_round(self) -> None:
        with suppress(RoundRefused):  # one is running: a request that was answered by nobody had been heard
            rounds.start(self.project, user=self.lab.rosa, options=ROUND)

    def take_and_leave(self) -> None:
        """Wanda takes a piece and her time is up, as if she had left hours ago."""
        taken = take(self.project, self.wanda)
        past = timezone.now() - timedelta(seconds=1)
        Assignment.objects.filter(pk=taken and taken.pk).update(lease_expires_at=past)


def build() -> Scene:
    lab = build_lab()
    project = lab.project
    dataset = freeze(project, user=lab.rosa)
    project.demonstrations_per_prompt = 1
    project.instructions_wanted = 100_000
    project.save()
    texts = (f"What is number {number}?" for number in range(PROMPTS))
    prompts = add_prompts(project, [NewPrompt([{"role": "user", "content": text}]) for text in texts])
    for prompt in prompts[:SETS]:
        _ranking_set(project, prompt)
    more = (make_person(name, project, Role.ANNOTATOR) for name in ANNOTATORS[2:])
    people = [lab.people.alice, lab.people.bob, *more]
    wanda = make_person(WALKS_AWAY, project, Role.ANNOTATOR)
    tokens = {person.username: make_token(person) for person in (*people, lab.rosa)}
    return Scene(lab, dataset, tokens, wanda)


def _ranking_set(project: Project, prompt: Prompt) -> None:
    make_ranking_item(project, prompt=prompt, texts=(f"It is {prompt.pk}.", "Nobody knows.", "That depends."))
