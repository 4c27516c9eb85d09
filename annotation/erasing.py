"""Erasing a person: what they wrote, did and are in a project, and their account where no other project knows it."""

from __future__ import annotations

import re

from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from annotation import audit, editing, uploads, withdrawing
from annotation.audit import Action
from annotation.models import (
    Acceptance,
    Appeal,
    Assignment,
    AuditEntry,
    Generator,
    Invitation,
    Item,
    ItemKind,
    Membership,
    PayRate,
    Project,
    Prompt,
    Review,
    Role,
    Upload,
    User,
    Withdrawal,
    Wording,
)
from annotation.refusals import Refused


def people(project: Project) -> QuerySet[User]:
    """All whom the project knows: its members, and those who have left something behind."""
    known = Q(pk__in=Membership.objects.filter(project=project).values("user"))
    known |= Q(pk__in=Assignment.objects.filter(item__project=project).values("annotator"))
    known |= Q(pk__in=Withdrawal.objects.filter(project=project).values("person"))
    known |= Q(pk__in=PayRate.objects.filter(project=project).values("user"))
    return User.objects.filter(known).order_by("username")


def people_who_left(project: Project) -> QuerySet[User]:
    return people(project).exclude(memberships__project=project)


def is_known_elsewhere(project: Project, person: User) -> bool:
    """Whether the account is needed outside of this project: it stays then, and with it the name."""
    return (
        person.is_staff
        or person.is_superuser
        or Membership.objects.filter(user=person).exclude(project=project).exists()
        or Assignment.objects.filter(annotator=person).exclude(item__project=project).exists()
        or Withdrawal.objects.filter(person=person).exclude(project=project).exists()
        or PayRate.objects.filter(user=person).exclude(project=project).exists()
        or Upload.objects.filter(user=person).exclude(project=project).exists()
    )


@transaction.atomic
def erase(project: Project, person: User, *, by: User) -> Withdrawal:
    """Remove all that the project holds of the person, in the files of its datasets too.

    Unlike a withdrawal it takes their pieces of work, times and pay along, what they said as reviewers, and the files
    that they brought; what was imported of those is the project's.
    """
    if person == by:
        raise Refused(_("Nobody erases themselves: another admin has to."))
    if _is_the_only_admin(project, person):
        raise Refused(_("%s is the only admin left. Add another one first.") % person)
    editing.wait_for_datasets(project)
    gone = withdrawing.remove_work(project, person)
    earlier = Withdrawal.objects.filter(project=project, person=person)
    for before in earlier:
        for kind in Withdrawal.KINDS:
            gone[kind].update(getattr(before, kind))
    earlier.update(person=None)
    _remove_traces(project, person)
    number = person.pk
    if not is_known_elsewhere(project, person):
        _remove_account(person)
    withdrawal = withdrawing.note(project, None, gone, erased=True)
    audit.record(Action.ERASED, actor=by, project=project, person=number, records=withdrawal.counts())
    return withdrawal


def _is_the_only_admin(project: Project, person: User) -> bool:
    admins = Membership.objects.filter(project=project, role=Role.ADMIN)
    return admins.filter(user=person).exists() and not admins.exclude(user=person).exists()


def _remove_traces(project: Project, person: User) -> None:
    """What is left of somebody whose work is gone."""
    own = Assignment.objects.filter(item__project=project, annotator=person)
    instructions = list(own.filter(item__kind=ItemKind.INSTRUCTION).values_list("item", flat=True))
    own.delete()
    Item.objects.filter(pk__in=instructions).delete()
    Generator.objects.filter(project=project, person=person).delete()
    Review.objects.filter(project=project, reviewer=person).update(reviewer=None, reason="")
    answered = Appeal.objects.filter(assignment__item__project=project, answered_by=person)
    answered.update(answered_by=None, answer="")
    Acceptance.objects.filter(terms__project=project, user=person).delete()
    PayRate.objects.filter(project=project, user=person).delete()
    for upload in Upload.objects.filter(project=project, user=person):
        uploads.forget(upload)
    invitations = Invitation.objects.filter(project=project)
    invitations.filter(created_by=person).update(created_by=None)
    joined = AuditEntry.objects.filter(project_id=project.pk, action=Action.JOINED, details__person=person.pk)
    invitations.filter(max_uses=1, pk__in=[entry.details["invitation"] for entry in joined]).delete()
    Membership.objects.filter(project=project, user=person).delete()
    used = Prompt.objects.filter(project=project, digest=OuterRef("digest"))
    Wording.objects.filter(~Exists(used), project=project).delete()


def _remove_account(person: User) -> None:
    """The account with its tokens and sessions, and what the administration's own log says of it."""
    for session in Session.objects.iterator():
        if session.get_decoded().get("_auth_user_id") == str(person.pk):
            session.delete()
    name = rf"\y{re.escape(person.get_username())}\y"
    LogEntry.objects.filter(Q(object_repr__iregex=name) | Q(change_message__iregex=name)).delete()
    User.objects.filter(pk=person.pk).delete()
