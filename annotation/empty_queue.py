"""What somebody is told for whom there is no work: why, and when to come back."""

from __future__ import annotations

import math

from django.db.models import Exists, Min, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation import daily_cap
from annotation.models import Assignment, AssignmentState, Item, Membership, Project, Role, User


def why(project: Project, annotator: User) -> str:
    """Why `take` finds nothing for this person, and when to come back."""
    if project.archived_at is not None:
        return _("This project is archived; nothing is collected for it any more.")
    if daily_cap.is_reached(project, annotator):
        return daily_cap.when_again()
    items = Item.objects.filter(project=project).exclude(open_slots=[])
    readable = items.filter(language__in=_languages(project, annotator))
    if not items.exists():
        return _no_open_pieces(project)
    if not readable.exists():
        return _("The pieces that are left are in languages you are not down for.")
    if not _agreed(project, annotator):
        readable = readable.filter(harmful=False)
        if not readable.exists():
            return _("The pieces that are left may be harmful to read. They go only to those who agreed to see such.")
    if use_cases := _use_cases(project, annotator):
        readable = readable.filter(prompt__use_case__in=use_cases)
        if not readable.exists():
            return _("The pieces that are left are of use cases you are not down for.")
    done = Assignment.objects.filter(annotator=annotator, item=OuterRef("pk"))
    if not readable.exclude(author=annotator).exists():
        return _("The pieces that are left come from your own instructions; others do those.")
    if not readable.filter(~Exists(done)).exists():
        return _("You have done or skipped every piece that is left. Others finish them.")
    return _("There is work of another kind for you.")


def _no_open_pieces(project: Project) -> str:
    held = Assignment.objects.filter(item__project=project, state=AssignmentState.LEASED)
    first_end = held.aggregate(first=Min("lease_expires_at"))["first"]
    if first_end is None:
        return _("Everything is done for now. More comes with new instructions and a new model's outputs.")
    minutes = max(1, math.ceil((first_end - timezone.now()).total_seconds() / 60))
    return ngettext(
        "Others are working on all that is left. Look again in %(minutes)d minute.",
        "Others are working on all that is left. Look again in %(minutes)d minutes.",
        minutes,
    ) % {"minutes": minutes}


def _languages(project: Project, annotator: User) -> list[str]:
    memberships = Membership.objects.filter(project=project, user=annotator, role=Role.ANNOTATOR)
    return memberships.values_list("languages", flat=True).first() or project.languages


def _use_cases(project: Project, annotator: User) -> list[str]:
    memberships = Membership.objects.filter(project=project, user=annotator, role=Role.ANNOTATOR)
    return memberships.values_list("use_cases", flat=True).first() or []


def _agreed(project: Project, annotator: User) -> bool:
    return Membership.objects.filter(project=project, user=annotator, role=Role.ANNOTATOR, sees_harmful=True).exists()
