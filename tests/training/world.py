"""The project that every test of the training side knows, small enough to be trained on in seconds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from annotation.collection import NewCompletion, NewPrompt, add_completions, add_prompts
from annotation.models import Demonstration, Generator, Pool, Project, Prompt, Ranking, Split, User
from tests.world import World, make_generator, make_world
from training import registry
from training.models import Policy

WORDS = "red blue green yellow black white orange purple".split()
TEST = {"preset": "test", "prompts": 8, "evaluation_prompts": 4}


@dataclass
class Lab:
    """The shared world's project as its researcher Rosa sees it."""

    people: World
    project: Project
    base: Policy
    other: Generator

    @property
    def rosa(self) -> User:
        return self.people.rosa

    def prompts(self, split: Split, pool: Pool | None = None) -> list[Prompt]:
        found = Prompt.objects.filter(project=self.project, split=split)
        return list(found.filter(pool=pool) if pool else found)

    def demonstrate(self, prompt: Prompt, text: str, **fields: Any) -> Demonstration:
        return Demonstration.objects.create(prompt=prompt, author=self.people.alice, text=text, **fields)

    def rank(self, prompt: Prompt, texts: list[list[str]], **fields: Any) -> Ranking:
        """A ranking of new completions with these texts, best group first."""
        flat = [text for group in texts for text in group]
        made = add_completions(self.other, [NewCompletion(prompt.pk, text, {}, 0) for text in flat])
        ids = {completion.text: completion.pk for completion in made}
        groups = [[ids[text] for text in group] for group in texts]
        shown = [completion.pk for completion in reversed(made)]
        return Ranking.objects.create(prompt=prompt, annotator=self.people.alice, groups=groups, shown=shown, **fields)


def build_lab(*, base: Path | None = None) -> Lab:
    """60 prompts on all sides, demonstrations and rankings of each kind, and a tiny model to start from."""
    people = make_world(k=2)
    project = people.project
    policy = registry.import_policy(project, source=str(base or tiny_model()), name="base", texts=str(texts_file()))
    lab = Lab(people, project, policy, make_generator(project, "other"))
    add_prompts(
        project,
        [
            NewPrompt(
                [{"role": "user", "content": f"Say {WORDS[n % 8]} {n} times"}],
                split=Split.TRAIN if n % 3 else Split.TEST,
            )
            for n in range(60)
        ],
    )
    for split in (Split.TRAIN, Split.TEST):
        for prompt in lab.prompts(split)[:8]:
            lab.demonstrate(prompt, prompt.text.split()[1])
        for prompt in lab.prompts(split, Pool.REWARD)[:6]:
            lab.rank(prompt, [[prompt.text.split()[1]], ["what", "no"]])
    return lab


def texts_file() -> Path:
    path = Path(settings.DATA) / "models" / "tiny" / "texts.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps({"text": f"Say {w} often: {w} {w}."}) + "\n" for w in WORDS * 4))
    return path


@cache
def tiny_model() -> Path:
    """A Llama of 28,000 weights, made by the project's own pretraining."""
    out = Path(settings.DATA) / "models" / "tiny" / "llama"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "training.algorithms", "pretrain", "--texts", str(texts_file()), "--out", str(out)]
    subprocess.run([*command, "--preset", "test"], check=True, cwd=settings.BASE_DIR, capture_output=True, timeout=120)
    return out / "model"
