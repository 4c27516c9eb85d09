"""Rounds, runs, datasets and models by their number, for the project's researchers alone.

Whoever ranks must never learn which model wrote what, so that to annotators none of this exists by name.
"""

from __future__ import annotations

from typing import TypeVar

from django.http import Http404

from annotation.access import project_for
from annotation.models import Project, Role, User
from training.models import Dataset, Policy, RewardModel, Round, TrainingRun

Row = TypeVar("Row", Dataset, Policy, RewardModel, Round, TrainingRun)


def researched_project(user: User, slug: str) -> Project:
    """The project, if the person researches in it (admins may too)."""
    return project_for(user, slug, Role.RESEARCHER)


def researched(kind: type[Row], user: User, pk: int) -> Row:
    """The row of that number, if the person researches in its project; unknown and foreign ones are not there."""
    row = kind._default_manager.filter(pk=pk).select_related("project").first()
    if row is None:
        raise Http404(f"No {kind._meta.verbose_name} {pk}.")
    researched_project(user, row.project.slug)
    return row
