"""A project with a policy that knows one answer by heart, the one it was trained from, and a reward model: all tiny."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client

from annotation.models import Project
from tests.algorithms import taught, tiny
from tests.world import World, make_world
from training import registry
from training.models import Policy, RewardModel, Stage, TrainingRun
from training.playground.answering import Answer, Asked, Cell

QUESTION = "one dog"


@dataclass
class Scene:
    people: World
    project: Project
    sft: Policy
    policy: Policy
    judge: RewardModel

    def address(self, name: str = "") -> str:
        return f"/projects/{self.project.slug}/playground/{name}"

    def client(self, who: str = "rosa") -> Client:
        client = Client()
        client.force_login(self.people.everyone()[who])
        return client

    def form(self, **fields: Any) -> dict[str, Any]:
        """What the page sends, at temperature 0."""
        own = {"first": self.policy.pk, "judge": self.judge.pk, "question": QUESTION, "temperature": 0}
        return own | {"max_new_tokens": 120} | fields

    def given(self, text: str = "An answer.", *, question: str = QUESTION, policy: Policy | None = None) -> Answer:
        """An answer as if the policy had given it."""
        asked = Asked([{"role": "user", "content": question}], temperature=1.0, max_new_tokens=9, seed=3)
        cells = [Cell(text, 2, -0.5), Cell("", 1, -0.1)]
        return Answer(policy or self.policy, asked, text, cells, finished=True, cut=0, reward=1.5)


def build_scene(*, k: int = 4) -> Scene:
    """Nobody has asked anything yet: people of other tests had the same numbers."""
    cache.clear()
    people = make_world(k=k)
    project, folders = people.project, models()
    sft = registry.register_policy(project, name="sft", folder=folders["base"])
    run = TrainingRun.objects.create(project=project, stage=Stage.PPO, base=sft, reference=sft, state="succeeded")
    policy = registry.register_policy(project, name="ppo", folder=folders["taught"], parent=sft)
    Policy.objects.filter(pk=policy.pk).update(run=run)
    judged = TrainingRun.objects.create(project=project, stage=Stage.REWARD_MODEL, base=sft, state="succeeded")
    judge = RewardModel.objects.create(
        project=project, run=judged, name="judge", path=registry.stored_path(folders["judge"])
    )
    return Scene(people, project, sft, Policy.objects.get(pk=policy.pk), judge)


@functools.cache
def models() -> dict[str, Path]:
    root = Path(settings.DATA) / "models" / "playground"
    base = tiny.build("llama", root / "base")
    return {
        "base": base,
        "taught": taught.teach(base, root / "taught", asked=QUESTION),
        "judge": taught.judge(base, root / "judge"),
    }


def lines(response: HttpResponse) -> list[dict[str, Any]]:
    """What a stream of answers told, to its end."""
    content: bytes = response.getvalue()
    return [json.loads(line) for line in content.decode().splitlines()]
