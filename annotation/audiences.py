"""Whom a view is for. Declared beside the view, once: this is what lets people in, and what the tests expect.

A view without it is refused by `manage.py check` (config.checks).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from annotation import access
from annotation.models import ApiToken, Role, User

Visitor = User | AnonymousUser


class Audience:
    """`admit` takes what the address names, and gives for it what the view works on."""

    signs_in = True

    def admit(self, user: Visitor, named: dict[str, Any]) -> list[Any]:
        """The objects that stand for what is removed from `named`; Http404 or PermissionDenied to all others."""
        return []


class Anyone(Audience):
    """Also who has not signed in."""

    signs_in = False


class SignedIn(Audience):
    """Whoever has signed in: a view that shows people what is their own."""


class Creators(SignedIn):
    """Those who may create projects."""

    def admit(self, user: Visitor, named: dict[str, Any]) -> list[Any]:
        if not access.may_create_projects(user):
            raise PermissionDenied(_("You may not create projects."))
        return super().admit(user, named)


class Superusers(SignedIn):
    """Those who run the installation."""

    def admit(self, user: Visitor, named: dict[str, Any]) -> list[Any]:
        if not user.is_superuser:
            raise PermissionDenied(_("This is for those who run the installation."))
        return super().admit(user, named)


class Staff(SignedIn):
    """Those whom a superuser lets into the administration, which sees to it itself."""


class Members(SignedIn):
    """The members of the project `slug` with one of the roles (none given: any role). Stands for it: the Project."""

    def __init__(self, *roles: Role) -> None:
        self.roles = roles

    def admit(self, user: Visitor, named: dict[str, Any]) -> list[Any]:
        return [access.project_for(user, named.pop("slug"), *self.roles)]


class CreatingMembers(Members):
    """Of these, those who may create projects too."""

    def admit(self, user: Visitor, named: dict[str, Any]) -> list[Any]:
        admitted = super().admit(user, named)
        Creators().admit(user, named)
        return admitted


class OwnAssignment(SignedIn):
    """Who the assignment `pk` was given to. Stands for it: the Assignment."""

    def admit(self, user: Visitor, named: dict[str, Any]) -> list[Any]:
        return [access.assignment_for(user, named.pop("pk"))]


class OwnToken(SignedIn):
    """Whose token `pk` is. Stands for it: the ApiToken."""

    def admit(self, user: Visitor, named: dict[str, Any]) -> list[Any]:
        return [get_object_or_404(ApiToken, pk=named.pop("pk"), user=user.pk)]


Audiences = Audience | Mapping[str, Audience]  # one for all methods, or one for each


def audience_for(declared: Audiences, method: str | None) -> Audience:
    """The audience of one method. HEAD and OPTIONS tell no more than GET, or else than the first method there is."""
    if isinstance(declared, Audience):
        return declared
    return declared.get(method or "") or declared.get("GET") or next(iter(declared.values()))


def declared_by(view: Any) -> dict[str, Audience]:
    """Methods of a view, as an address leads to it, with the audience of each; empty where the view does not say."""
    cls, given = getattr(view, "cls", None), getattr(view, "initkwargs", {})
    declared = given.get("audience") or getattr(cls or view, "audience", None)
    if declared is None:
        return {}
    return {method: audience_for(declared, method) for method in _methods(view, cls)}


def _methods(view: Any, cls: Any) -> Iterable[str]:
    if cls is None:
        methods: tuple[str, ...] = view.methods
        return methods
    return [name.upper() for name in cls.http_method_names if name not in ("head", "options") and hasattr(cls, name)]
