"""The review queue: find work, look at it, accept or reject it, and take that back."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation import reviewing
from annotation.forms import ReviewFilterForm
from annotation.models import Completion, Project, ReviewState, Role, User, WorkKind
from annotation.numbers import row_numbers
from annotation.refusals import Refused
from annotation.views.decorators import INVALID, SignedInRequest, project_page

PER_PAGE = 25
LONGEST_FILTERS = 500  # characters; longer ones would make an address that browsers refuse
VERBS = {"accept": ReviewState.ACCEPTED, "reject": ReviewState.REJECTED, "reopen": ReviewState.PENDING}


@project_page("GET", "POST", roles=(Role.REVIEWER,))
def review(request: SignedInRequest, project: Project) -> HttpResponse:
    """The filters are in the address of both: a decision comes back to where it was made."""
    form = ReviewFilterForm(request.GET, project=project)
    kind, found = filtered(project, form)
    if request.method == "POST":
        try:
            decided(request, project, kind, found)
        except Refused as refusal:
            return queue_page(request, project, form, kind, found, refusal=str(refusal))
        return redirect(request.get_full_path())
    return queue_page(request, project, form, kind, found)


@project_page("POST", roles=(Role.REVIEWER,))
def undo(request: SignedInRequest, project: Project, batch: uuid.UUID) -> HttpResponse:
    if not reviewing.has_batch(project, batch):
        raise Http404(f"No decisions {batch} in {project}.")
    try:
        count = reviewing.undo(project, reviewer=request.user, batch=batch)
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        said = ngettext("%(count)d piece stands as it did before.", "%(count)d pieces stand as they did before.", count)
        messages.success(request, said % {"count": count})
    filters = request.POST.get("filters", "")
    found = QueryDict(filters).urlencode() if len(filters) < LONGEST_FILTERS else ""
    return redirect(f"{reverse('review', args=[project.slug])}?{found}")


def decided(request: SignedInRequest, project: Project, kind: WorkKind, found: QuerySet[Any]) -> None:
    """What the page was sent for: the pieces that were marked, or all that the filters find."""
    sent = request.POST
    state = VERBS.get(sent.get("verb", ""))
    if state is None:
        raise Refused(_("Choose what to do with the work: accept it, reject it, or put it back."))
    marked = set(row_numbers(sent.getlist("piece")))
    if not marked and "everything" not in sent:
        raise Refused(_("Mark the work that you mean first."))
    pieces = found.values("pk") if "everything" in sent else marked
    count = reviewing.decide(
        project, reviewer=request.user, kind=kind, pieces=pieces, state=state, reason=sent.get("reason", "")
    )
    messages.success(request, outcome(state, count))


def outcome(state: ReviewState, count: int) -> str:
    said = {
        ReviewState.ACCEPTED: ngettext("%(count)d piece is accepted.", "%(count)d pieces are accepted.", count),
        ReviewState.REJECTED: ngettext("%(count)d piece is rejected.", "%(count)d pieces are rejected.", count),
        ReviewState.PENDING: ngettext("%(count)d piece waits again.", "%(count)d pieces wait again.", count),
    }
    return said[state] % {"count": count}


def filtered(project: Project, form: ReviewFilterForm) -> tuple[WorkKind, QuerySet[Any]]:
    """What the filters find, the newest first. A filter that can't be read is as if it were not there."""
    form.is_valid()
    asked = form.cleaned_data
    kind = WorkKind(asked.get("kind") or WorkKind.DEMONSTRATION)
    found = reviewing.find(
        project, kind, state=asked.get("state", ""), author=asked.get("annotator"),
        use_case=asked.get("use_case", ""), language=asked.get("language", ""), words=asked.get("q", ""),
    )  # fmt: skip
    return kind, found


def queue_page(
    request: SignedInRequest, project: Project, form: ReviewFilterForm, kind: WorkKind, found: QuerySet[Any],
    *, refusal: str = "",
) -> HttpResponse:  # fmt: skip
    page = Paginator(found.select_related("assignment"), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "form": form,
        "kind": kind,
        "page": page,
        "pieces": pieces_of(request.user, kind, page),
        "filters": request.GET.urlencode(),
        "without_page": without(request.GET, "page"),
        "batches": reviewing.recent_batches(project, request.user),
        "refusal": refusal,
        "reason": request.POST.get("reason", ""),
        "everything": "everything" in request.POST,
        "marked": set(request.POST.getlist("piece")),
    }
    return render(request, "annotation/review.html", context, status=INVALID if refusal else 200)


def pieces_of(reviewer: User, kind: WorkKind, page: Page[Any]) -> list[dict[str, Any]]:
    rows = list(page.object_list)
    why = reviewing.reasons(kind, rows)
    texts = ranked_texts(rows) if kind == WorkKind.RANKING else {}
    return [
        {
            "record": row,
            "id": str(row.pk),
            "prompt": row if kind == WorkKind.PROMPT else row.prompt,
            "author": author_of(kind, row),
            "is_own": getattr(row, f"{reviewing.AUTHOR[kind]}_id") == reviewer.pk,
            "reason": why.get(row.pk, ""),
            "pasted": row.assignment.pasted if row.assignment else None,
            "groups": [[texts.get(pk, "") for pk in group] for group in getattr(row, "groups", [])],
        }
        for row in rows
    ]


def author_of(kind: WorkKind, row: Any) -> str:
    """Who did it: a user name, the name that a file gave, or neither."""
    person = getattr(row, reviewing.AUTHOR[kind])
    said: str = getattr(row, "origin", {}).get("annotator") or ""
    return person.get_username() if person else said or _("imported")


def ranked_texts(rankings: list[Any]) -> dict[int, str]:
    """The outputs' texts. Who wrote them is no reviewer's business either."""
    ids = {completion for ranking in rankings for completion in ranking.shown}
    return dict(Completion.objects.filter(pk__in=ids).values_list("pk", "text"))


def without(query: QueryDict, name: str) -> str:
    kept = query.copy()
    kept.pop(name, None)
    return kept.urlencode()
