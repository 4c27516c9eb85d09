"""The simulated people and their project: accounts, memberships and tokens, as an admin would set them up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from annotation.models import ApiToken, Guidelines, Membership, Project, Role, User

TOKEN_LIFETIME = timedelta(days=1)
GUIDELINES = (
    "Prefer the output that does what the instruction asks, is right and complete, and is polite. "
    "Mark down rudeness, repetition and padding. Outputs that are equally good share a rank."
)
FLAGS = {
    "fails_instruction": "Fails to follow the instruction",
    "wrong": "Says something wrong",
    "incomplete": "Incomplete",
    "rude": "Rude",
    "repetitive": "Repeats itself",
}


@dataclass(frozen=True)
class Person:
    """An account, and the secret its script signs in with. `name` is who they are in every study."""

    name: str
    user: User
    token: str


def make_project(slug: str, *, k: int, instructions: int, languages: list[str]) -> Project:
    """An empty project like the demo's. One demonstration a prompt is wanted, and as many instructions as given."""
    project = Project.objects.create(
        slug=slug,
        name=f"Simulated study {slug}",
        description="Made by manage.py simulate; its people are simulated.",
        k=k,
        languages=languages,
        instructions_wanted=instructions,
        demonstrations_per_prompt=1,
        flags=[{"key": key, "label": label} for key, label in FLAGS.items()],
    )
    Guidelines.objects.create(project=project, version=1, text=GUIDELINES)
    return project


def join(project: Project, name: str, role: Role, *, languages: Iterable[str] = ()) -> Person:
    """A new account that is a member of the project. It has no password: it works by its token alone."""
    user = User.objects.create(username=f"{project.slug}.{name}")
    user.set_unusable_password()
    user.save(update_fields=["password"])
    Membership.objects.create(project=project, user=user, role=role, languages=list(languages))
    _row, secret = ApiToken.issue(user, name="simulation", lifetime=TOKEN_LIFETIME)
    return Person(name, user, secret)
