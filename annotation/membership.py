"""Who is in a project, as what and on which terms: invitations, roles, languages, daily caps and pay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import audit
from annotation.audit import Action
from annotation.models import Invitation, Membership, PayRate, Project, Role, UseCase, User
from annotation.refusals import Refused

LONGEST_INVITATION = timedelta(days=90)
MOST_INVITED = 1_000


@transaction.atomic
def add(project: Project, person: User, role: Role, *, by: User) -> bool:
    """Whether the role is new to the person."""
    _member, created = Membership.objects.get_or_create(project=project, user=person, role=role)
    if created:
        audit.record(Action.MEMBER_ADDED, actor=by, project=project, person=person.pk, role=role)
    return created


@transaction.atomic
def remove(member: Membership, *, by: User) -> None:
    """Take one role away. The last admin stays, or nobody could let anyone in again."""
    Project.objects.select_for_update().get(pk=member.project_id)
    others = Membership.objects.filter(project=member.project_id, role=Role.ADMIN).exclude(pk=member.pk)
    if member.role == Role.ADMIN and not others.exists():
        raise Refused(_("%s is the only admin left. Add another one first.") % member.user)
    if Membership.objects.filter(pk=member.pk).delete()[0]:
        audit.record(Action.MEMBER_REMOVED, actor=by, project=member.project, person=member.user_id, role=member.role)


@transaction.atomic
def limit(
    member: Membership, *, by: User, languages: Sequence[str], daily_cap: int | None, use_cases: Sequence[str] = ()
) -> None:
    """What an annotator is given: in which languages and of which use cases (none: all), how many pieces a day."""
    current = Membership.objects.select_for_update().get(pk=member.pk)
    _check_languages(member.project, languages)
    if unknown := sorted(set(use_cases) - set(UseCase.values)):
        raise Refused(
            _("There is no use case %(found)s; the use cases are %(known)s.")
            % {"found": unknown[0], "known": ", ".join(UseCase.values)}
        )
    if daily_cap is not None and daily_cap < 1:
        raise Refused(_("A daily cap is 1 piece or more. To hand out none, take the role away."))
    wanted = {"languages": list(languages), "use_cases": sorted(use_cases), "daily_cap": daily_cap}
    changes = {name: [getattr(current, name), new] for name, new in wanted.items() if getattr(current, name) != new}
    if changes:
        Membership.objects.filter(pk=member.pk).update(**wanted)
        audit.record(Action.MEMBER_CHANGED, actor=by, project=member.project, person=member.user_id, changes=changes)


@transaction.atomic
def pay(project: Project, person: User, *, by: User, amount: Decimal, per: str, since: date | None = None) -> PayRate:
    """Set what a person is paid for work from a day on; until then the rate before it stands."""
    if amount < 0:
        raise Refused(_("A rate of pay is 0 or more."))
    rate, _created = PayRate.objects.update_or_create(
        project=project, user=person, since=since or timezone.localdate(), defaults={"amount": amount, "per": per}
    )
    audit.record(
        Action.RATE_SET, actor=by, project=project, person=person.pk, amount=str(amount), per=per,
        currency=project.currency, since=rate.since.isoformat(),
    )  # fmt: skip
    return rate


@transaction.atomic
def invite(
    project: Project, *, by: User, name: str, roles: Sequence[Role], languages: Sequence[str] = (), max_uses: int = 1,
    lifetime: timedelta = timedelta(days=7),
) -> tuple[Invitation, str]:  # fmt: skip
    """A link for people to come in by, and its secret, which can't be read again."""
    _check_languages(project, languages)
    if not roles:
        raise Refused(_("Say what the people invited will be."))
    if not 1 <= max_uses <= MOST_INVITED or not timedelta() < lifetime <= LONGEST_INVITATION:
        raise Refused(
            _("An invitation lets in 1 to %(people)d people and lasts %(days)d days at most.")
            % {"people": MOST_INVITED, "days": LONGEST_INVITATION.days}
        )
    values = {"name": name, "roles": list(roles), "languages": list(languages), "max_uses": max_uses}
    invitation, secret = Invitation.issue(project, lifetime=lifetime, created_by=by, **values)
    audit.record(
        Action.INVITED, actor=by, project=project, invitation=invitation.pk, roles=list(roles), max_uses=max_uses,
        expires=invitation.expires_at.date().isoformat(),
    )  # fmt: skip
    return invitation, secret


@transaction.atomic
def revoke(invitation: Invitation, *, by: User) -> None:
    """The link lets nobody in any more. Who came by it stays."""
    if Invitation.objects.filter(pk=invitation.pk, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record(Action.INVITATION_REVOKED, actor=by, project=invitation.project, invitation=invitation.pk)


@transaction.atomic
def join(invitation: Invitation, person: User) -> None:
    """Make the person a member. Who has all the roles already uses up nothing."""
    current = Invitation.objects.select_for_update().get(pk=invitation.pk)
    project = invitation.project
    held = set(project.memberships.filter(user=person).values_list("role", flat=True))
    new = [role for role in current.roles if role not in held]
    if not new:
        return
    if not current.is_open:
        raise Refused(_("This invitation has been used up, has expired or was revoked. Ask for a new one."))
    Invitation.objects.filter(pk=invitation.pk).update(uses=F("uses") + 1)
    Membership.objects.bulk_create(
        [Membership(project=project, user=person, role=role, languages=current.languages) for role in new],
        ignore_conflicts=True,
    )
    audit.record(Action.JOINED, actor=person, project=project, person=person.pk, roles=new, invitation=invitation.pk)


def _check_languages(project: Project, languages: Sequence[str]) -> None:
    if unknown := [code for code in languages if code not in project.languages]:
        raise Refused(
            _("The project has no language %(found)s; its languages are %(known)s.")
            % {"found": ", ".join(unknown), "known": ", ".join(project.languages)}
        )
