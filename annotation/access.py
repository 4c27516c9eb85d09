"""Who may do what in a project: the one place that decides.

What somebody may not know of is not there for them (404); what they know of but may not do is refused (403).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeGuard

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from annotation import prepared
from annotation.models import Assignment, Membership, Project, Role, User

# Of its annotator, who still holds a role in its project. As SQL: each request of somebody at work asks for it.
MAY_STILL_OPEN = RawSQL(
    """exists (select from annotation_membership membership
        where membership.project_id = annotation_item.project_id
            and membership.user_id = annotation_assignment.annotator_id
            and (membership.role = 'annotator' or membership.role in ('researcher', 'admin')
                and annotation_item.keyed_by_id = membership.user_id))""",
    (),
    BooleanField(),
)

OWN = prepared.Records(
    lambda pk, annotator: Assignment.objects.whole().filter(MAY_STILL_OPEN, annotator=annotator, pk=pk)
)
MEMBERSHIPS = prepared.Records(
    lambda user, slug: Membership.objects.filter(user=user, project__slug=slug).select_related("project")
)

IMPLIED: dict[Role, frozenset[Role]] = {
    Role.ADMIN: frozenset({Role.ADMIN, Role.RESEARCHER, Role.REVIEWER}),
}


def project_for(user: User | AnonymousUser, slug: str, *roles: Role) -> Project:
    """The project, if the person holds one of `roles` in it (none given: any role). One query; two for a superuser."""
    memberships = MEMBERSHIPS.all(user=user.pk, slug=slug) if _is_active(user) else []
    if memberships:
        project = memberships[0].project
    elif user.is_superuser:
        project = get_object_or_404(Project, slug=slug)
    else:
        raise Http404(f"No project {slug!r} that {user} is a member of.")
    if roles and _effective(user, (membership.role for membership in memberships)).isdisjoint(roles):
        raise PermissionDenied(
            _("This is for the project's roles %(roles)s.") % {"roles": ", ".join(str(role.label) for role in roles)}
        )
    return project


def roles_of(user: User | AnonymousUser, project: Project) -> frozenset[Role]:
    """The person's roles in the project, those that a role implies included. One query."""
    held = Membership.objects.filter(user=user.pk, project=project).values_list("role", flat=True)
    return _effective(user, held if _is_active(user) else ())


def can(user: User | AnonymousUser, project: Project, *roles: Role) -> bool:
    """Whether the person holds one of `roles` in the project. One query."""
    return not roles_of(user, project).isdisjoint(roles)


def may_create_projects(user: User | AnonymousUser) -> bool:
    """Superusers, and those to whom one gave Django's permission to add projects."""
    return user.has_perm("annotation.add_project")


def assignment_for(user: User | AnonymousUser, assignment_id: int) -> Assignment:
    """The person's own assignment, while they are an annotator of its project; loaded whole. One query.

    Researchers open those in which they answer the sets that measure others.
    """
    assignment = OWN.first(pk=assignment_id, annotator=user.pk) if _is_active(user) else None
    if assignment is None:
        raise Http404(f"No assignment {assignment_id} of {user}.")
    return assignment


def _is_active(user: User | AnonymousUser) -> TypeGuard[User]:
    return not isinstance(user, AnonymousUser) and user.is_active


def _effective(user: User | AnonymousUser, roles: Iterable[str]) -> frozenset[Role]:
    """A superuser is an admin of every project; being an annotator always takes a membership."""
    held = {Role(role) for role in roles} | ({Role.ADMIN} if user.is_superuser else set())
    return frozenset().union(*(IMPLIED.get(role, {role}) for role in held))
