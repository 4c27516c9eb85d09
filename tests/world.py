"""The people every test knows, and short ways to make what they work on.

Alice and Bob annotate, Rita reviews, Rosa researches and Ada runs the project. Charlie has a project of his own next
door and should have no access to this one.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from annotation.adding import NewCompletion, RankingSet, add_completions, add_prompt, add_ranking_items
from annotation.assignment import take
from annotation.collection import submit_demonstration, submit_ranking
from annotation.models import (
    ApiToken,
    Assignment,
    Demonstration,
    Generator,
    GeneratorKind,
    Guidelines,
    Item,
    ItemKind,
    Membership,
    Project,
    Prompt,
    PromptKind,
    Ranking,
    Role,
    UseCase,
    User,
)

PASSWORD = "correct horse battery"
TEXTS = ("Paris.", "It is Paris, on the Seine.", "I don't know.", "London")


@dataclass(kw_only=True)
class World:
    project: Project
    alice: User
    bob: User
    rita: User
    rosa: User
    ada: User
    charlie: User
    next_door: Project

    def everyone(self) -> dict[str, User]:
        return {name: getattr(self, name) for name in ("alice", "bob", "rita", "rosa", "ada", "charlie")}


def make_world(**settings: Any) -> World:
    """A project with its people; `settings` are the project's, where they matter to the test."""
    defaults = {"name": "Capitals", "slug": "capitals", "demonstrations_per_prompt": 0}
    project = make_project(**defaults | settings)
    next_door = make_project(name="Next door", slug="next-door")
    return World(
        project=project,
        alice=make_person("alice", project, Role.ANNOTATOR),
        bob=make_person("bob", project, Role.ANNOTATOR),
        rita=make_person("rita", project, Role.REVIEWER),
        rosa=make_person("rosa", project, Role.RESEARCHER),
        ada=make_person("ada", project, Role.ADMIN),
        charlie=make_person("charlie", next_door, *Role),
        next_door=next_door,
    )


def make_project(**settings: Any) -> Project:
    project = Project.objects.create(**settings)
    Guidelines.objects.create(project=project, version=1, text="Be **helpful**, honest and harmless.")
    return project


def make_person(name: str, project: Project | None = None, *roles: Role) -> User:
    person = User.objects.create_user(name, password=PASSWORD)
    for role in roles:
        Membership.objects.create(project=project, user=person, role=role)
    return person


def make_token(person: User, *, lifetime: timedelta = timedelta(days=1)) -> str:
    return ApiToken.issue(person, name="test", lifetime=lifetime)[1]


def make_prompt(project: Project, text: str = "What is the capital of France?", **values: Any) -> Prompt:
    defaults = {"author": None, "kind": PromptKind.PLAIN, "use_case": UseCase.OPEN_QA, "language": "en"}
    return add_prompt(project, messages=[{"role": "user", "content": text}], **defaults | values)


def make_generator(project: Project, name: str = "sft-of-tuesday") -> Generator:
    return Generator.objects.get_or_create(project=project, name=name, defaults={"kind": GeneratorKind.POLICY})[0]


def make_ranking_item(
    project: Project,
    *,
    prompt: Prompt | None = None,
    texts: tuple[str, ...] = TEXTS,
    generator: str = "sft-of-tuesday",
    priority: int = 0,
    overlap: int | None = None,
) -> Item:
    prompt = prompt or make_prompt(project)
    rows = [NewCompletion(prompt.pk, text, {"temperature": 1.0}, seed) for seed, text in enumerate(texts)]
    completions = add_completions(make_generator(project, generator), rows)
    chosen = RankingSet(prompt, [completion.pk for completion in completions])
    return add_ranking_items(project, [chosen], priority=priority, overlap=overlap)[0]


def taken(project: Project, annotator: User, *kinds: ItemKind) -> Assignment:
    assignment = take(project, annotator, kinds=kinds or None)
    assert assignment is not None
    return assignment


def rank(assignment: Assignment, groups: list[list[int]] | None = None, **values: Any) -> Ranking:
    """Submit a ranking: the order shown, best first, unless `groups` says otherwise."""
    content = {"ratings": {}, "flags": {}, "note": "", "seconds": 12.5, "client_key": uuid.uuid4()} | values
    return submit_ranking(assignment, groups=groups or [[shown] for shown in assignment.shown], **content)


def answer(assignment: Assignment, text: str = "The capital of France is Paris.") -> Demonstration:
    return submit_demonstration(assignment, client_key=uuid.uuid4(), text=text)
