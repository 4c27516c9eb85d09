"""The collecting side's tables: people, projects, texts and the work done on them."""

from __future__ import annotations

from annotation.models.people import ApiToken, User
from annotation.models.projects import Guidelines, Membership, Project, Role
from annotation.models.reviews import AuditEntry, Review, WorkKind
from annotation.models.texts import (
    Completion,
    Demonstration,
    Generator,
    GeneratorKind,
    Pool,
    Prompt,
    PromptKind,
    ReviewState,
    Split,
    UseCase,
    Wording,
)
from annotation.models.work import Assignment, AssignmentState, Item, ItemKind, Ranking, SkipReason

__all__ = [
    "ApiToken",
    "Assignment",
    "AssignmentState",
    "AuditEntry",
    "Completion",
    "Demonstration",
    "Generator",
    "GeneratorKind",
    "Guidelines",
    "Item",
    "ItemKind",
    "Membership",
    "Pool",
    "Project",
    "Prompt",
    "PromptKind",
    "Ranking",
    "Review",
    "ReviewState",
    "Role",
    "SkipReason",
    "Split",
    "UseCase",
    "User",
    "Wording",
    "WorkKind",
]
