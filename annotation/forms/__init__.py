"""The forms of the annotation pages: a project's limits, languages and flags in, what the verbs take out."""

from __future__ import annotations

from annotation.forms.base import limit
from annotation.forms.data import KIND_LABELS, ImportForm
from annotation.forms.instruction import InstructionForm
from annotation.forms.people import EraseForm, InvitationForm, LimitsForm, MemberForm, RateForm, RoleForm, TokenForm
from annotation.forms.projects import CopyForm, NewProjectForm, ScreeningForm, SettingsForm, VersionForm
from annotation.forms.ranking import RankingForm
from annotation.forms.review import AppealAnswerForm, ReviewFilterForm, WhatIfForm
from annotation.forms.work import AppealForm, AssignmentForm, DemonstrationForm, ImproveForm
from annotation.models import ItemKind

FORMS: dict[str, type[AssignmentForm]] = {
    ItemKind.INSTRUCTION: InstructionForm,
    ItemKind.DEMONSTRATION: DemonstrationForm,
    ItemKind.RANKING: RankingForm,
}

__all__ = [
    "FORMS",
    "KIND_LABELS",
    "AppealAnswerForm",
    "AppealForm",
    "AssignmentForm",
    "CopyForm",
    "DemonstrationForm",
    "EraseForm",
    "ImportForm",
    "ImproveForm",
    "InstructionForm",
    "InvitationForm",
    "LimitsForm",
    "MemberForm",
    "NewProjectForm",
    "RankingForm",
    "RateForm",
    "ReviewFilterForm",
    "RoleForm",
    "ScreeningForm",
    "SettingsForm",
    "TokenForm",
    "VersionForm",
    "WhatIfForm",
    "limit",
]
