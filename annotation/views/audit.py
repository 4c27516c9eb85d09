"""The audit log of a project, for its admins. It can be read and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.formats import date_format
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.audit import KINDS, OTHERS, Action
from annotation.forms import KIND_LABELS
from annotation.models import (
    AuditEntry,
    Invitation,
    Membership,
    PaidPer,
    Project,
    Purpose,
    ReviewState,
    Role,
    User,
    WorkKind,
)
from annotation.money import as_rate
from annotation.views.decorators import SignedInRequest, project_page
from annotation.views.review import without

PER_PAGE = 50
SENTENCES = {
    Action.PROJECT_CREATED: gettext_lazy("“%(name)s”"),
    Action.PROJECT_COPIED: gettext_lazy("“%(name)s” from “%(source)s”, with %(people)s of its members"),
    Action.PROJECT_ARCHIVED: gettext_lazy("“%(name)s”"),
    Action.PROJECT_REOPENED: gettext_lazy("“%(name)s”"),
    Action.SETTINGS_CHANGED: gettext_lazy("%(changes)s"),
    Action.GUIDELINES_PUBLISHED: gettext_lazy("version %(version)s"),
    Action.TERMS_PUBLISHED: gettext_lazy("version %(version)s"),
    Action.INVITED: gettext_lazy("“%(invitation)s”: %(max_uses)s to be %(roles)s, until %(expires)s"),
    Action.INVITATION_REVOKED: gettext_lazy("“%(invitation)s”"),
    Action.JOINED: gettext_lazy("%(person)s as %(roles)s, by “%(invitation)s”"),
    Action.MEMBER_CHANGED: gettext_lazy("%(person)s. %(changes)s"),
    Action.RATE_SET: gettext_lazy("%(person)s: %(amount)s %(per)s from %(since)s"),
    Action.REVIEWED: gettext_lazy("%(kind)s: %(count)s %(state)s."),
    Action.REVIEW_UNDONE: gettext_lazy("%(kind)s: %(count)s %(state)s."),
    Action.MEMBER_ADDED: gettext_lazy("%(person)s as %(role)s"),
    Action.MEMBER_REMOVED: gettext_lazy("%(person)s as %(role)s"),
    Action.RELEASED: gettext_lazy("%(count)s pieces that people held"),
    Action.IMPORTED: gettext_lazy("%(kind)s from %(file)s: %(rows)s new, %(repeats)s known, %(bad)s bad"),
    Action.EXPORTED: gettext_lazy("%(kind)s as %(format)s"),
    Action.WITHDRAWN: gettext_lazy("Of %(person)s: %(records)s"),
    Action.ERASED: gettext_lazy("Of %(person)s: %(records)s"),
    Action.SCREENED: gettext_lazy("%(count)s sets: %(purpose)s"),
    Action.ADMINISTERED: gettext_lazy("%(model)s “%(name)s”: %(how)s. %(fields)s"),
}


@project_page("GET", roles=(Role.ADMIN,))
def log(request: SignedInRequest, project: Project) -> HttpResponse:
    entries = AuditEntry.objects.filter(project_id=project.pk)
    actions = sorted(entries.order_by().values_list("action", flat=True).distinct())
    if (action := request.GET.get("action")) in actions:
        entries = entries.filter(action=action)
    page = Paginator(entries, PER_PAGE).get_page(request.GET.get("page"))
    names = Names.of(page.object_list)
    context = {
        "project": project,
        "page": page,
        "entries": [
            {
                "at": entry.at,
                "who": names.person(entry.actor_id) if entry.actor_id else _("the system"),
                "what": label(entry.action),
                "details": details(entry, names),
            }
            for entry in page.object_list
        ],
        "actions": [(each, label(each)) for each in actions],
        "action": action,
        "without_page": without(request.GET, "page"),
    }
    return render(request, "annotation/audit.html", context)


@dataclass
class Names:
    """What people and invitations are called now: the log itself holds their numbers alone."""

    people: dict[int, str]
    invitations: dict[int, str]

    @classmethod
    def of(cls, entries: Iterable[AuditEntry]) -> Names:
        said = [entry.details for entry in entries]
        people = {entry.actor_id for entry in entries if entry.actor_id}
        people |= {details["person"] for details in said if "person" in details}
        invitations = {details["invitation"] for details in said if "invitation" in details}
        return cls(
            dict(User.objects.filter(pk__in=people).values_list("pk", "username")),
            dict(Invitation.objects.filter(pk__in=invitations).values_list("pk", "name")),
        )

    def person(self, number: int) -> str:
        return self.people.get(number) or _("somebody who is gone")

    def invitation(self, number: int) -> str:
        return self.invitations.get(number) or str(number)


def label(action: str) -> str:
    """What nobody has a word for is shown as it is."""
    if action in OTHERS:
        return capfirst(str(OTHERS[action][0]))
    return capfirst(str(Action(action).label)) if action in Action.values else action


def sentence_for(action: str) -> Any:
    if action in OTHERS:
        return OTHERS[action][1]
    return SENTENCES.get(Action(action)) if action in Action.values else None


def details(entry: AuditEntry, names: Names) -> str:
    """An entry in words; the values as they are where there are none for it."""
    known: dict[str, Any] = {
        name: value if isinstance(value, str | int) else plain(value) for name, value in entry.details.items()
    }
    sentence = sentence_for(entry.action)
    if sentence is None:
        return " · ".join(f"{name}: {value}" for name, value in known.items())
    known["count"] = len(entry.details.get("ids", []))
    for name, named in words().items():
        if name in known:
            known[name] = named.get(known[name], known[name])
    if "roles" in known:
        known["roles"] = ", ".join(str(words()["role"].get(role, role)) for role in entry.details["roles"])
    if "changes" in known:
        known["changes"] = changes(entry.details["changes"])
    for day in ("since", "expires"):
        if day in known:
            known[day] = date_format(date.fromisoformat(known[day][:10]), "SHORT_DATE_FORMAT")
    if "amount" in known:
        known["amount"] = as_rate(Decimal(known["amount"]), known["currency"])
    if "person" in known:
        known["person"] = names.person(entry.details["person"])
    if "invitation" in known:
        known["invitation"] = names.invitation(entry.details["invitation"])
    try:
        return str(sentence % known)
    except KeyError:  # an entry by an older or newer version, with other details
        return plain(entry.details)


def words() -> dict[str, dict[Any, Any]]:
    """What stands for a stored value, by the name of the detail."""
    return {
        "kind": {**KINDS, **KIND_LABELS, **{kind.value: capfirst(str(kind.label)) for kind in WorkKind}},
        "state": dict(ReviewState.choices),
        "role": dict(Role.choices),
        "per": dict(PaidPer.choices),
        "purpose": {**dict(Purpose.choices), "": _("ordinary again")},
    }


def changes(found: dict[str, list[Any]]) -> str:
    """Each setting with its old value and its new one."""
    fields = {field.name: field.verbose_name for model in (Membership, Project) for field in model._meta.fields}
    return "; ".join(f"{fields.get(name, name)}: {short(old)} → {short(new)}" for name, (old, new) in found.items())


def short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(each["label"] if isinstance(each, dict) else str(each) for each in value) or "–"
    return "–" if value in (None, "") else Truncator(value).chars(120)


def plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value else ""
