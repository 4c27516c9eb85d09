"""A study from its first instruction to its last round.

The people are simulated, and set up here as an admin would; what they and the researcher do goes through the HTTP API
of a running installation, whose queue, workers and trainers are the real ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from django.utils import timezone

from annotation.models import Demonstration, Item, ItemKind, Project, Prompt, Role, Split
from annotation.wording import split_for
from training import generation, registry, runs
from training.models import Policy, Round, RoundState, Stage
from training.simulation import measure
from training.simulation.client import Client
from training.simulation.measure import StudyFailed
from training.simulation.people import Person, join, make_project
from training.simulation.work import Desk, Quota, demonstrates, ranks, writes_instructions
from training.starter.authors import Author, authors
from training.starter.instructions import Instruction
from training.starter.judgement import Annotator

POLL_SECONDS = 0.25
PASS = 10  # instructions that an author writes in one sitting
SEVERAL = 3  # annotators of a set that is ranked by more than one
UNLIMITED = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How large the study is. All that is random follows from the seed."""

    seed: int = 0
    rounds: int = 2
    annotators: int = 6
    k: int = 8
    instructions: int = 7_200
    demonstrations: int = 48
    rankings: int = 2_300
    rankings_later: int = 2_100
    rankings_at_last: int = 100
    ranked_by_several: int = 80
    held_out_prompts: int = 500
    completions: int = 2
    best_of: int = 16
    temperatures: tuple[float, ...] = (0.25, 0.5, 0.75)
    shuffle_rankings: bool = False
    hyperparameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass
class Study:
    """The study under way. `say` takes one line a stage; `seconds` holds the wall time of each since it was cleared."""

    plan: Plan
    address: str
    say: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)
    project: Project = field(init=False)
    base: Policy = field(init=False)
    researcher: Person = field(init=False)
    writers: list[tuple[Author, Person]] = field(init=False)
    judges: list[tuple[Annotator, Person]] = field(init=False)

    @property
    def desk(self) -> Desk:
        return Desk(self.address, self.project.slug)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        took = time.monotonic() - started
        self.seconds[name] = round(self.seconds.get(name, 0.0) + took, 2)
        self.say(f"{name}: {took:.1f} s")

    def prepare(self, starter: str, *, texts: str) -> None:
        """People, the starter model in their project, instructions, demonstrations, and the first outputs to rank.

        `starter` is the model's folder, `texts` the pretraining mix that PPO keeps in mind.
        """
        with self.stage("people"):
            self._gather()
            self.base = registry.import_policy(self.project, source=starter, name="starter", texts=texts)
        with self.stage("instructions"):
            self._write_instructions()
        with self.stage("demonstrations"):
            self._demonstrate()
        with self.stage("first outputs"):
            self._first_outputs()

    # ---- people ----

    def _gather(self) -> None:
        slug = f"study-{self.plan.seed}-{timezone.now():%Y%m%d-%H%M%S}"
        self.project = make_project(slug, k=self.plan.k, instructions=UNLIMITED, languages=["en", "zh"])
        self.researcher = join(self.project, "researcher", Role.RESEARCHER)
        accounts = {
            author.name: join(self.project, author.name, Role.ANNOTATOR, languages=[author.language])
            for author in authors()
        }
        # Only now: it is the application that splits authors, by their accounts.
        self.writers = [(author, accounts[author.name]) for author in authors(lambda name: self._split(accounts[name]))]
        self.judges = [
            (Annotator(name, seed=self.plan.seed), join(self.project, name, Role.ANNOTATOR))
            for name in (f"annotator-{number}" for number in range(1, self.plan.annotators + 1))
        ]

    def _split(self, person: Person) -> str:
        """The starter world's side: what is not for training there is for tests."""
        return "train" if split_for(self.project.pk, person.user.pk, "") == Split.TRAIN else "test"

    def _write_instructions(self) -> None:
        """Everybody writes their share; then those who are held out write on, until there is enough to measure on."""
        drafts = {author.name: author.instructions(self.plan.seed) for author, _person in self.writers}
        while self.project.prompts.count() < self.plan.instructions:
            self._write(self.writers, drafts)
        held_out = [writer for writer in self.writers if writer[0].split != "train"]
        if not held_out:
            raise StudyFailed("By chance no author is held out, so nothing could be measured. Start the study again.")
        while self._held_out_prompts() < self.plan.held_out_prompts:
            self._write(held_out, drafts)

    def _write(self, writers: list[tuple[Author, Person]], drafts: Mapping[str, Iterator[Instruction]]) -> None:
        def sitting(author: Author, person: Person) -> int:
            answer = writes_instructions(author, drafts[author.name])
            return self.desk.work(person, ItemKind.INSTRUCTION, answer, quota=Quota(PASS))

        self.desk.everybody(sitting, writers)

    def _held_out_prompts(self) -> int:
        held_out = Prompt.objects.filter(project=self.project).exclude(split=Split.TRAIN)
        return held_out.values("digest").distinct().count()

    def _demonstrate(self) -> None:
        """Everybody answers one instruction of somebody else, until there are enough answers to train on."""

        def one(author: Author, person: Person) -> int:
            return self.desk.work(
                person, ItemKind.DEMONSTRATION, demonstrates(author, seed=self.plan.seed), quota=Quota(1)
            )

        answers = Demonstration.objects.filter(prompt__project=self.project, prompt__split=Split.TRAIN)
        while (missing := self.plan.demonstrations - answers.count()) > 0:
            if not self.desk.everybody(one, self.writers[:missing]):
                raise StudyFailed(f"{missing} more demonstrations are wanted, but no instruction waits for an answer.")

    def _first_outputs(self) -> None:
        prompts = generation.choose_prompts(self.project, count=self.plan.rankings, seed=self.plan.seed)
        values = generation.sampling(self.project) | {"seed": self.plan.seed}
        run = runs.create(
            self.project, stage=Stage.SAMPLE, user=None, base=self.base, inputs={"prompts": prompts}, values=values
        )
        measure.finished(run)
        Policy.objects.filter(pk=self.base.pk).update(published_at=timezone.now())

    def rank(self) -> int:
        """The annotators rank all that waits; the number of rankings."""
        self._have_some_ranked_by_several()
        return self.judge(UNLIMITED)

    def judge(self, count: int) -> int:
        """The annotators rank `count` sets, those of the highest priority first."""
        quota = Quota(count)

        def day(annotator: Annotator, person: Person) -> int:
            answer = ranks(annotator, shuffle=self.plan.shuffle_rankings)
            return self.desk.work(person, ItemKind.RANKING, answer, quota=quota)

        return self.desk.everybody(day, self.judges)

    def _have_some_ranked_by_several(self) -> None:
        """So that agreement between annotators can be measured."""
        waiting = Item.objects.filter(project=self.project, kind=ItemKind.RANKING, overlap=1, open_slots=[1])
        chosen = Random(self.plan.seed).sample(
            sorted(waiting.values_list("pk", flat=True)), self.plan.ranked_by_several
        )
        annotators = min(SEVERAL, self.plan.annotators)
        waiting.filter(pk__in=chosen).update(overlap=annotators, open_slots=list(range(1, annotators + 1)))

    # ---- machines ----

    def train(self, *, outputs: int) -> Round:
        """A round from its start to its outputs in the queue, of which there are to be `outputs` sets."""
        options = {
            "base": self.base.pk,
            "seed": self.plan.seed,
            "prompts": outputs,
            "hyperparameters": self.plan.hyperparameters,
        }
        with Client(self.address, token=self.researcher.token) as client:
            started = client.post(f"projects/{self.project.slug}/rounds/", options)
        round = Round.objects.get(pk=started["id"])
        while round.state == RoundState.RUNNING:
            time.sleep(POLL_SECONDS)
            round.refresh_from_db()
        if round.state != RoundState.PUBLISHED:
            raise StudyFailed(f"Round {round.number} ended as {round.state} in {round.stage}: {round.error}")
        return round
