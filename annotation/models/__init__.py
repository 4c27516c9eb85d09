"""The collecting side's tables: people, projects, texts and the work done on them."""

from __future__ import annotations

from annotation.models.members import Invitation, PaidPer, PayRate
from annotation.models.people import ApiToken, Scope, User
from annotation.models.projects import Acceptance, Guidelines, Membership, Project, Role, Terms
from annotation.models.reports import Report, ReportKind
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
from annotation.models.uploads import Upload, UploadState
from annotation.models.withdrawals import Withdrawal
from annotation.models.work import (
    Appeal,
    AppealState,
    Assignment,
    AssignmentState,
    ChosenBy,
    Item,
    ItemKind,
    Purpose,
    Ranking,
    SkipReason,
)

__all__ = [
    "Acceptance",
    "ApiToken",
    "Appeal",
    "AppealState",
    "Assignment",
    "AssignmentState",
    "AuditEntry",
    "ChosenBy",
    "Completion",
    "Demonstration",
    "Generator",
    "GeneratorKind",
    "Guidelines",
    "Invitation",
    "Item",
    "ItemKind",
    "Membership",
    "PaidPer",
    "PayRate",
    "Pool",
    "Project",
    "Prompt",
    "PromptKind",
    "Purpose",
    "Ranking",
    "Report",
    "ReportKind",
    "Review",
    "ReviewState",
    "Role",
    "Scope",
    "SkipReason",
    "Split",
    "Terms",
    "Upload",
    "UploadState",
    "UseCase",
    "User",
    "Withdrawal",
    "Wording",
    "WorkKind",
]
