"""An annotator's day: take a piece of work, write or rank, submit, and be led to the next one."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation import assignment as leases
from annotation import blinding, collection, editing, empty_queue, rendering, screening, shortcuts, terms
from annotation.drafts import version_of
from annotation.forms import FORMS, AssignmentForm, DemonstrationForm, ImproveForm, InstructionForm, RankingForm, limit
from annotation.models import Assignment, AssignmentState, ItemKind, Project, Ranking, Role, SkipReason
from annotation.progress import progress
from annotation.views.decorators import INVALID, SignedInRequest, assignment_page, project_page
from annotation.views.waiting import held_by, waiting

FOUND_NOTHING = "nothing"
ENDED = (AssignmentState.SUBMITTED, AssignmentState.SKIPPED, AssignmentState.WITHDRAWN)


@project_page("GET", "POST", roles=(Role.ANNOTATOR,))
def work(request: SignedInRequest, project: Project) -> HttpResponse:
    if request.method == "POST":
        return begin(request, project)
    standing = screening.standing(project, request.user)
    pieces = waiting(progress(project))
    if not pieces and standing is not None and standing.sets.done < standing.sets.wanted:
        pieces = [(ItemKind.RANKING, standing.sets.wanted - standing.sets.done)]
    found_nothing = FOUND_NOTHING in request.GET or not pieces or project.archived_at is not None
    held = held_by(request.user, project)
    context = {
        "project": project,
        "held": held,
        "others": [kind for kind, _count in pieces if held and kind != held.item.kind],
        "waiting": pieces,
        "why_empty": empty_queue.why(project, request.user) if found_nothing else "",
        "guidelines": project.current_guidelines(),
        "membership": project.memberships.get(user=request.user, role=Role.ANNOTATOR),
        "standing": standing,
        "has_harmful": project.items.filter(harmful=True).exclude(open_slots=[]).exists(),
    }
    return render(request, "annotation/work.html", context)


@project_page("POST", roles=(Role.ANNOTATOR,))
def put_back(request: SignedInRequest, project: Project) -> HttpResponse:
    """Lets go of what is in hand, for another kind of work where one is named."""
    if leases.put_back(project, request.user):
        messages.info(request, _("What you had in hand is back in the queue. What you wrote is kept."))
    return begin(request, project) if "kind" in request.POST else redirect("work", project.slug)


@assignment_page("GET")
def assignment(request: SignedInRequest, assignment: Assignment) -> HttpResponse:
    form = FORMS[assignment.item.kind](assignment)
    form.initial["client_key"] = uuid.uuid4()
    return assignment_form(request, assignment, form)


@assignment_page("POST")
def submit(request: SignedInRequest, assignment: Assignment) -> HttpResponse:
    form = FORMS[assignment.item.kind](assignment, request.POST)
    if not form.is_valid():
        return assignment_form(request, assignment, form, status=INVALID)
    try:
        hand_in(assignment, form)
    except collection.Refused as refusal:
        assignment.refresh_from_db(fields=["state"])
        form.add_error(None, str(refusal))
        return assignment_form(request, assignment, form, status=INVALID)
    return led_on(request, after(request, assignment), said=said_of(request, assignment))


@assignment_page("GET", "POST")
def edit(request: SignedInRequest, assignment: Assignment) -> HttpResponse:
    """Changes to what was submitted, while nothing is built on it."""
    record = editing.record_of(assignment)
    if record is None:
        raise Http404(f"Nothing was submitted for assignment {assignment.pk}.")
    kind = FORMS[assignment.item.kind]
    if request.method != "POST":
        if editing.why_closed(record, assignment.item.project):
            return redirect("assignment", assignment.pk)
        form = kind(assignment, record=record)
        form.initial["client_key"] = uuid.uuid4()
        return assignment_form(request, assignment, form, is_edit=True)
    form = kind(assignment, request.POST, record=record)
    try:
        if form.is_valid():
            hand_in(assignment, form, edit=True)
            return led_on(request, redirect("assignment", assignment.pk), said=_("Changed."))
    except collection.Refused as refusal:
        form.add_error(None, str(refusal))
    return assignment_form(request, assignment, form, status=INVALID, is_edit=True)


@assignment_page("GET", "POST")
def improve(request: SignedInRequest, assignment: Assignment) -> HttpResponse:
    """The best output of a ranking just made, to be edited: an answer, and preferred to what it was."""
    record = editing.record_of(assignment)
    if not isinstance(record, Ranking):
        raise Http404(f"Nothing was ranked in assignment {assignment.pk}.")
    texts = {output.id: output.text for output in blinding.outputs(assignment)}
    best = blinding.groups_by_letter(assignment, record.groups)[0]
    asked = request.GET.get("output", "")
    chosen = asked if asked in best else best[0]
    form = ImproveForm(
        request.POST if request.method == "POST" else None, initial={"output": chosen, "text": texts[chosen]}
    )
    limit(form.fields["text"], assignment.item.project.max_answer_characters)
    if form.is_valid():
        try:
            [completion] = blinding.by_id(assignment, {form.cleaned_data["output"]: None})
            collection.improve(assignment, completion=completion, text=form.cleaned_data["text"])
        except collection.Refused as refusal:
            form.add_error("text", str(refusal))
        else:
            messages.success(request, _("Saved as an answer, and as better than the output."))
            return after(request, assignment)
    context = {
        "assignment": assignment, "item": assignment.item, "project": assignment.item.project, "form": form,
        "best": best, "chosen": form["output"].value(),
    }  # fmt: skip
    return render(request, "annotation/improve.html", context, status=INVALID if form.is_bound else 200)


@assignment_page("POST")
def skip(request: SignedInRequest, assignment: Assignment) -> HttpResponse:
    if (reason := request.POST.get("reason")) not in SkipReason.values:
        told = _("Say why you skip it: one of %s.") % ", ".join(SkipReason.values)
        return HttpResponseBadRequest(told, content_type="text/plain; charset=utf-8")
    leases.skip(assignment, reason=SkipReason(reason))
    messages.info(request, render_to_string("annotation/skipped.html", {"assignment": assignment}, request))
    return after(request, assignment)


@assignment_page("POST")
def undo_skip(request: SignedInRequest, assignment: Assignment) -> HttpResponse:
    if leases.undo_skip(assignment):
        return redirect("assignment", assignment.pk)
    messages.warning(request, _("Others have taken the piece meanwhile, so it can't come back to you."))
    return redirect("work", assignment.item.project.slug)


@assignment_page("POST")
def following(request: SignedInRequest, assignment: Assignment) -> JsonResponse:
    """Holds the piece after this one too, for the page to load it while the person is at this one."""
    project = assignment.item.project
    if assignment.state != AssignmentState.LEASED or terms.due(project, request.user):
        return JsonResponse({"next": None})
    taken = leases.take(project, request.user, kinds=wanted_kinds(request, project), after=assignment)
    return JsonResponse({"next": reverse("assignment", args=[taken.pk]) if taken else None})


@assignment_page("POST")
def draft(request: SignedInRequest, assignment: Assignment) -> JsonResponse:
    """Keeps what the form holds now, whether or not it is complete."""
    fields = FORMS[assignment.item.kind](assignment).fields
    kept = {name: request.POST[name] for name in fields if name != "client_key" and request.POST.get(name)}
    try:
        collection.save_draft(assignment, kept)
    except collection.Refused as refusal:
        return JsonResponse({"refused": str(refusal)}, status=409)
    form = FORMS[assignment.item.kind](assignment, request.POST)
    return JsonResponse({"saved": True, "version": version_of(kept), "pointed_out": form.pointed_out()})


@assignment_page("POST")
def preview(request: SignedInRequest, assignment: Assignment) -> HttpResponse:
    """The text as its readers will see it."""
    project = assignment.item.project
    longest = max(project.max_prompt_characters, project.max_answer_characters)
    return HttpResponse(rendering.render(request.POST.get("text", "")[:longest]))


@assignment_page("POST")
def heartbeat(request: SignedInRequest, assignment: Assignment) -> JsonResponse:
    """From the open page: the person is still at it."""
    leases.heartbeat(assignment)
    assignment.refresh_from_db()
    return JsonResponse({"state": assignment.state, "lease_expires_at": assignment.lease_expires_at})


def assignment_form(
    request: SignedInRequest, assignment: Assignment, form: AssignmentForm, *, status: int = 200, is_edit: bool = False
) -> HttpResponse:
    item = assignment.item
    is_late = assignment.state == AssignmentState.EXPIRED
    context: dict[str, Any] = {
        "assignment": assignment,
        "item": item,
        "project": item.project,
        "form": form,
        "guidelines": assignment.guidelines or item.project.current_guidelines(),
        "skip_reasons": SkipReason.choices,
        "is_late": is_late,
        "came_too_late": is_late and "late" in assignment.draft,
        "is_edit": is_edit,
        "pointed_out": form.pointed_out(),
        "first_time": is_first(assignment),
        "version": version_of(form.left),
        "heartbeat_seconds": item.project.lease_minutes * 60 // 4,
    }
    if assignment.state in ENDED and not is_edit:
        return finished(request, assignment, context)
    if isinstance(form, RankingForm):
        context["outputs"] = outputs(assignment, form)
        context["shortcuts"] = shortcuts.of(request.user)
        context["actions"] = [
            (action, label, context["shortcuts"]["keys"][action]) for action, label in shortcuts.LABELS.items()
        ]
    return render(request, f"annotation/assignment_{item.kind}.html", context, status=status)


def finished(request: SignedInRequest, assignment: Assignment, context: dict[str, Any]) -> HttpResponse:
    """What became of a piece that is done or skipped, and what can still be done about it."""
    record = editing.record_of(assignment) if assignment.state == AssignmentState.SUBMITTED else None
    if record is not None:
        context["record"] = record
        context["why_closed"] = editing.why_closed(record, assignment.item.project)
    return render(request, "annotation/finished.html", context)


def is_first(assignment: Assignment) -> bool:
    """Whether the person has handed in nothing of this kind in this project yet."""
    done = Assignment.objects.filter(annotator=assignment.annotator_id, state=AssignmentState.SUBMITTED)
    return not done.filter(item__project=assignment.item.project_id, item__kind=assignment.item.kind).exists()


def led_on(request: SignedInRequest, response: HttpResponseRedirect, *, said: str) -> HttpResponse:
    """A redirect, or for the page's script the address it leads to: the script can then tell that all is kept.

    A script that has the next page loaded already shows there what is said of this one.
    """
    if request.get_preferred_type(["text/html", "application/json"]) != "application/json":
        messages.success(request, said)
        return response
    if request.headers.get("X-Loaded") == response.url:
        return JsonResponse({"next": response.url, "said": said})
    messages.success(request, said)
    return JsonResponse({"next": response.url})


def outputs(assignment: Assignment, form: RankingForm) -> list[dict[str, Any]]:
    """The outputs in the order shown. Their letters are all that the page says of them beside their text."""
    return [
        {"key": output.id, "letter": output.id.upper(), "text": output.text, **form.fields_of(output.id)}
        for output in blinding.outputs(assignment)
    ]


def hand_in(assignment: Assignment, form: AssignmentForm, *, edit: bool = False) -> None:
    values = form.cleaned_data
    key, spent = values["client_key"], values["seconds"]
    if isinstance(form, InstructionForm):
        collection.submit_instruction(
            assignment, client_key=key, messages=values["messages"],
            kind=values["kind"], use_case=values["use_case"], language=values["language"], spent=spent,
            pasted=values["pasted"], edit=edit,
        )  # fmt: skip
    elif isinstance(form, DemonstrationForm):
        collection.submit_demonstration(
            assignment, client_key=key, text=values["text"], spent=spent, pasted=values["pasted"], edit=edit
        )
    elif isinstance(form, RankingForm):
        collection.submit_ranking(
            assignment, client_key=key, groups=form.groups(), ratings=form.ratings(), flags=form.flags(),
            acceptable=form.acceptable(), note=values["note"], seconds=spent, edit=edit,
        )  # fmt: skip


def said_of(request: SignedInRequest, assignment: Assignment) -> str:
    """What is said of a submit; after a ranking, with the way to edit its best output."""
    if assignment.item.kind != ItemKind.RANKING:
        return _("Saved.")
    return render_to_string("annotation/ranked.html", {"assignment": assignment}, request)


def after(request: SignedInRequest, assignment: Assignment) -> HttpResponseRedirect:
    """Where a piece leads that is handed in or skipped: to the next, or back to the sets that a researcher answers."""
    if assignment.item.purpose and assignment.item.keyed_by_id == request.user.pk:
        return redirect("screening", assignment.item.project.slug)
    return next_piece(request, assignment.item.project)


def begin(request: SignedInRequest, project: Project) -> HttpResponseRedirect:
    """To a piece of the kinds named, which are those that the person works on from now; of any kind where none is."""
    asked = request.POST.getlist("kind")
    request.session[wanted_key(project)] = [kind for kind in asked if kind in ItemKind.values]
    return next_piece(request, project)


def next_piece(request: SignedInRequest, project: Project) -> HttpResponseRedirect:
    """To the next piece of the kinds this person works on now, or to the page that says why there is none."""
    if terms.due(project, request.user):
        return redirect("terms", project.slug)
    taken = leases.take(project, request.user, kinds=wanted_kinds(request, project))
    if taken is None:
        return redirect(f"{reverse('work', args=[project.slug])}?{FOUND_NOTHING}")
    return redirect("assignment", taken.pk)


def wanted_kinds(request: SignedInRequest, project: Project) -> list[ItemKind] | None:
    """The kinds of work that the person chose; None: any."""
    return [ItemKind(kind) for kind in request.session.get(wanted_key(project), [])] or None


def wanted_key(project: Project) -> str:
    return f"kinds of work in {project.pk}"
