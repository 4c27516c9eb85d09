"""The audit log of a project, for its admins. It can be read and nothing else."""

from __future__ import annotations

import json
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.audit import Action
from annotation.forms import KIND_LABELS
from annotation.models import AuditEntry, Project, ReviewState, Role, User, WorkKind
from annotation.views.decorators import SignedInRequest, project_page
from annotation.views.review import without

PER_PAGE = 50
SENTENCES = {
    Action.REVIEWED: gettext_lazy("%(kind)s: %(count)s %(state)s."),
    Action.REVIEW_UNDONE: gettext_lazy("%(kind)s: %(count)s %(state)s."),
    Action.MEMBER_ADDED: gettext_lazy("%(person)s as %(role)s"),
    Action.MEMBER_REMOVED: gettext_lazy("%(person)s as %(role)s"),
    Action.IMPORTED: gettext_lazy("%(kind)s from %(file)s: %(rows)s new, %(repeats)s known, %(bad)s bad"),
    Action.EXPORTED: gettext_lazy("%(kind)s as %(format)s"),
    Action.WITHDRAWN: gettext_lazy("Of %(person)s: %(records)s"),
    Action.ERASED: gettext_lazy("Of %(person)s: %(records)s"),
    Action.ADMINISTERED: gettext_lazy("%(model)s “%(name)s”: %(how)s. %(fields)s"),
}


@project_page("GET", roles=(Role.ADMIN,))
def log(request: SignedInRequest, project: Project) -> HttpResponse:
    entries = AuditEntry.objects.filter(project_id=project.pk)
    actions = sorted(entries.order_by().values_list("action", flat=True).distinct())
    if (action := request.GET.get("action")) in actions:
        entries = entries.filter(action=action)
    page = Paginator(entries, PER_PAGE).get_page(request.GET.get("page"))
    people = names_of_people(page.object_list)
    context = {
        "project": project,
        "page": page,
        "entries": [
            {
                "at": entry.at,
                "who": people.get(entry.actor_id, _("somebody who is gone")) if entry.actor_id else _("the system"),
                "what": label(entry.action),
                "details": details(entry, people),
            }
            for entry in page.object_list
        ],
        "actions": [(each, label(each)) for each in actions],
        "action": action,
        "without_page": without(request.GET, "page"),
    }
    return render(request, "annotation/audit.html", context)


def names_of_people(entries: Any) -> dict[int | None, str]:
    seen = {entry.actor_id for entry in entries} | {entry.details.get("person") for entry in entries}
    ids = [each for each in seen if isinstance(each, int)]
    return dict(User.objects.filter(pk__in=ids).values_list("pk", "username"))


def label(action: str) -> str:
    """What others record under names of their own is shown as it is."""
    return capfirst(str(Action(action).label)) if action in Action.values else action


def details(entry: AuditEntry, people: dict[int | None, str]) -> str:
    """An entry in words; the values as they are where there are none for it."""
    known: dict[str, Any] = {
        name: value if isinstance(value, str | int) else plain(value) for name, value in entry.details.items()
    }
    sentence = SENTENCES.get(entry.action)  # type: ignore[call-overload]
    if sentence is None:
        return " · ".join(f"{name}: {value}" for name, value in known.items())
    known["count"] = len(entry.details.get("ids", []))
    for name, words in (("kind", kinds()), ("state", dict(ReviewState.choices)), ("role", dict(Role.choices))):
        if name in known:
            known[name] = words.get(known[name], known[name])
    if "person" in known:
        known["person"] = people.get(entry.details["person"], _("somebody who is gone"))
    try:
        return str(sentence % known)
    except KeyError:  # an entry by an older or newer version, with other details
        return plain(entry.details)


def kinds() -> dict[Any, Any]:
    return {**KIND_LABELS, **{kind.value: capfirst(str(kind.label)) for kind in WorkKind}}


def plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value else ""
