"""Rounds, runs, datasets and models by their number, for the project's researchers alone.

Whoever ranks must never learn which model wrote what, so that to annotators none of this exists by name.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404

from annotation.access import project_for
from annotation.audiences import Members, Visitor
from annotation.models import Role
from training.models import Dataset, ExternalModel, OutputRequest, Policy, RewardModel, Round, TrainingRun

Kind = (
    type[Dataset]
    | type[ExternalModel]
    | type[OutputRequest]
    | type[Policy]
    | type[RewardModel]
    | type[Round]
    | type[TrainingRun]
)
RESEARCHERS = Members(Role.RESEARCHER)


class ResearchersOf(Members):
    """Who researches in the project of the row `pk` (admins may too). Stands for it: the row.

    Unknown numbers, and those of other projects, are not there.
    """

    def __init__(self, kind: Kind) -> None:
        super().__init__(Role.RESEARCHER)
        self.kind = kind

    def admit(self, user: Visitor, named: dict[str, Any]) -> list[Any]:
        pk = named.pop("pk")
        row = self.kind._default_manager.filter(pk=pk).select_related("project").first()
        if row is None:
            raise Http404(f"No {self.kind._meta.verbose_name} {pk}.")
        project_for(user, row.project.slug, *self.roles)
        return [row]


class AdminsOf(ResearchersOf):
    """The same for the project's admins alone."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.roles = (Role.ADMIN,)
