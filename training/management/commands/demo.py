"""`manage.py demo`: the starter model and a project to try the loop in. Killed anywhere and run again, it goes on."""

from __future__ import annotations

import json
import os
import secrets
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from annotation.assignment import take
from annotation.collection import NewPrompt, add_prompts, submit_ranking
from annotation.models import (
    Completion,
    Demonstration,
    Guidelines,
    ItemKind,
    Membership,
    Project,
    Ranking,
    Role,
    Split,
    User,
)
from training import bootstrap, generation, registry, runs
from training.models import Policy, RunState, Stage, TrainingRun
from training.starter.judgement import Annotator

SLUG = "demo"
BASE = "starter"
PROMPTS = {"prompts_train": 2_000, "prompts_held_out": 200}
TO_DEMONSTRATE = 40
TO_RANK = 60
RANKED = 600  # by simulated annotators, so that the first round has something to learn from
ANNOTATORS = 4
PEOPLE = {
    "annotator": [Role.ANNOTATOR],
    "admin": [Role.ADMIN, Role.ANNOTATOR],
    "researcher": [Role.RESEARCHER, Role.ANNOTATOR],
}
GUIDELINES = """\
# How to judge

You write instructions and answers, and you rank what a small model answers.

A good output, in this order of weight:

1. **does what the instruction asks**, all of it and nothing else;
2. **is true** to the facts and to the text it was given;
3. **is complete** and **polite**, in the instruction's language;
4. repeats nothing and says nothing beside the point.

Put the best output first. Outputs that you would not tell apart share a place.

Most of the rankings that you find here were made by simulated annotators, so that a first round can be tried at once.
The model behind this project is a toy that was trained on this machine a few minutes ago, on made-up texts about a
small world of animals, places and things. It is here to try the whole loop with, not to be useful.
"""


class Command(BaseCommand):
    help = "Build the starter model and a demo project with three people, prompts, and outputs to rank."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--preset", default="starter", help="settings of pretraining and sampling (starter or test)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            corpus = bootstrap.build_corpus(say=self.say)
            model = bootstrap.build_model(say=self.say, preset=options["preset"])
        except bootstrap.BootstrapError as error:
            raise CommandError(str(error)) from error
        self.say("Making the demo project")
        project = self._project()
        self._people(project)
        self._texts(project, corpus)
        base = self._base(project, model, corpus)
        self._outputs(project, base, preset=options["preset"])
        self._rankings(project)

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    @transaction.atomic
    def _project(self) -> Project:
        project, made = Project.objects.get_or_create(
            slug=SLUG,
            defaults={
                "name": "Demo",
                "description": "A small world of animals, places and things, and a toy model that lives in it.",
                "languages": ["en", "zh"],
                "instructions_wanted": sum(PROMPTS.values()) + 200,
            },
        )
        if made:
            Guidelines.objects.create(project=project, version=1, text=GUIDELINES)
        return project

    def _people(self, project: Project) -> None:
        """Three accounts with random passwords. The file comes first, so that no account exists whose word is lost."""
        words = _passwords(Path(settings.DATA) / "run" / "sign_ins.txt")
        for name, roles in PEOPLE.items():
            with transaction.atomic():
                person, made = User.objects.get_or_create(username=name)
                if made:
                    person.set_password(words[name])
                    person.is_staff = person.is_superuser = name == "admin"
                    person.save(update_fields=["password", "is_staff", "is_superuser"])
                for role in roles:
                    Membership.objects.get_or_create(project=project, user=person, role=role)

    @transaction.atomic
    def _texts(self, project: Project, corpus: Path) -> None:
        """Prompts of both sides, some that wait for an answer, and the starter's demonstrations. All or nothing."""
        Project.objects.select_for_update().get(pk=project.pk)
        if project.prompts.exists():
            return
        self.say("Adding prompts and demonstrations")
        rows = list(_rows(corpus / "demonstrations.jsonl"))
        answered = add_prompts(project, [_prompt(row | {"split": "train"}) for row in rows], with_items=False)
        Demonstration.objects.bulk_create(
            Demonstration(prompt=prompt, text=row["completion"]) for prompt, row in zip(answered, rows, strict=True)
        )
        for name, count in PROMPTS.items():
            prompts = [_prompt(row) for row in _rows(corpus / f"{name}.jsonl")][:count]
            waiting = TO_DEMONSTRATE if name == "prompts_train" else 0
            add_prompts(project, prompts[:waiting])
            add_prompts(project, prompts[waiting:], with_items=False)

    def _base(self, project: Project, model: Path, corpus: Path) -> Policy:
        base = Policy.objects.filter(project=project, name=BASE).first()
        if base is None:
            texts = registry.stored_path(corpus / "mix.jsonl")
            source = registry.stored_path(model)
            base = registry.import_policy(project, source=source, name=BASE, texts=texts)
            Policy.objects.filter(pk=base.pk).update(published_at=timezone.now())
        return base

    def _outputs(self, project: Project, base: Policy, *, preset: str) -> None:
        """Outputs of the starter model, in the queue. A run that a killed attempt left is gone on with."""
        run = TrainingRun.objects.filter(project=project, stage=Stage.SAMPLE, round=None, base=base).first()
        if run is None:
            run = runs.create(
                project, stage=Stage.SAMPLE, user=None, base=base, preset=preset, values=generation.sampling(project),
                inputs={"prompts": generation.choose_prompts(project, count=TO_RANK + RANKED)},
            )  # fmt: skip
        elif run.state in (RunState.FAILED, RunState.CANCELLED):
            runs.retry(run)
        self.say("Sampling outputs to rank (about 40 s)")
        while not run.is_final:
            runs.sweep()
            runs.execute(run.pk)
            time.sleep(0.5)
            run.refresh_from_db()
        if run.state != RunState.SUCCEEDED:
            raise CommandError(f"The starter model's outputs could not be sampled: {run.error}")

    def _rankings(self, project: Project) -> None:
        """Simulated annotators rank what was sampled, all but what a visitor is to find in the queue."""
        people = [self._simulated(project, number) for number in range(1, ANNOTATORS + 1)]
        self.say("Having simulated annotators rank most of it (about 15 s)")
        for turn in range(Ranking.objects.filter(prompt__project=project).count(), RANKED):
            annotator, account = people[turn % ANNOTATORS]
            piece = take(project, account, kinds=[ItemKind.RANKING])
            if piece is None or piece.item.prompt is None:
                return
            texts = Completion.objects.in_bulk(piece.shown)
            judged = annotator.ranks(piece.item.prompt.text, [texts[shown].text for shown in piece.shown])
            groups = [[piece.shown[place] for place in group] for group in judged.groups]
            ratings = dict(zip(piece.shown, judged.ratings, strict=True))
            submit_ranking(piece, client_key=uuid4(), groups=groups, ratings=ratings, flags={})

    def _simulated(self, project: Project, number: int) -> tuple[Annotator, User]:
        """An account that nobody can sign in with, and the taste behind it."""
        name = f"simulated-{number}"
        account, made = User.objects.get_or_create(username=name)
        if made:
            account.set_unusable_password()
            account.save(update_fields=["password"])
        Membership.objects.get_or_create(project=project, user=account, role=Role.ANNOTATOR)
        return Annotator(name), account


def _prompt(row: dict[str, Any]) -> NewPrompt:
    """A prompt of the starter's files; those of demonstrations name neither language nor use case."""
    language = row.get("language") or (
        "zh" if any("\u4e00" <= letter <= "\u9fff" for letter in row["prompt"]) else "en"
    )
    messages = [{"role": "user", "content": row["prompt"]}]
    return NewPrompt(messages, use_case=row.get("use_case", "other"), language=language, split=Split(row["split"]))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _passwords(path: Path) -> dict[str, str]:
    """The words in the sign-in file, which is made, readable by its owner alone, if it lacks."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{name:<12}{secrets.token_urlsafe(9)}\n" for name in PEOPLE]
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.writelines(lines)
        draft.rename(path)
    words = dict(line.split() for line in path.read_text().splitlines() if line.strip())
    if missing := sorted(PEOPLE.keys() - words.keys()):
        raise CommandError(f"{path} names no password for {', '.join(missing)}. Delete the file, or add the lines.")
    return words
