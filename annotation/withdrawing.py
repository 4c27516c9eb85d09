"""Taking work back: single pieces, or all that one did in a project. What is taken back is removed from the database.

What depends on it goes too: with an instruction, all answers to it, outputs and rankings; with an output, the rankings
that it is in and the edits that were made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from annotation import audit, closing, editing, reports
from annotation.models import (
    Appeal,
    Assignment,
    Completion,
    Demonstration,
    Item,
    Membership,
    Project,
    Prompt,
    Ranking,
    Role,
    User,
    Withdrawal,
)
from annotation.refusals import Refused
from annotation.signals import data_withdrawn

Records = dict[str, set[int]]  # the kinds of a Withdrawal → ids


def withdraw(assignment: Assignment) -> Withdrawal:
    """Take one submitted piece back, and what was made of it in the same go."""
    project, person = assignment.item.project, assignment.annotator
    with transaction.atomic():
        editing.wait_for_datasets(project)
        found = records_of([assignment.pk])
        if not any(found.values()):
            raise Refused(_("There is nothing of yours here to take back."))
        gone = remove(project, found)
        closing.take_back([assignment.pk])
        return _tell(project, person, gone)


def leave(project: Project, person: User) -> Withdrawal:
    """Leave the project as an annotator, and take all that one wrote and ranked there along."""
    with transaction.atomic():
        editing.wait_for_datasets(project)
        gone = remove_work(project, person)
        Membership.objects.filter(project=project, user=person, role=Role.ANNOTATOR).delete()
        return _tell(project, person, gone)


def remove_work(project: Project, person: User) -> Records:
    """Remove all that the person wrote and ranked, drafts included; the time they spent stays in their timesheet."""
    own = Assignment.objects.filter(item__project=project, annotator=person)
    gone = remove(project, records_by(project, person))
    closing.take_back(list(own.values_list("pk", flat=True)))
    Appeal.objects.filter(assignment__in=own).delete()
    own.exclude(draft={}).update(draft={})
    return gone


def records_of(assignments: list[int]) -> Records:
    """What was submitted for these pieces, with the edit of a best output and the preference that it made."""
    preferences = Ranking.objects.filter(origin__edit_in__in=assignments)
    return {
        "prompts": _ids(Prompt.objects.filter(assignment__in=assignments)),
        "demonstrations": _ids(Demonstration.objects.filter(assignment__in=assignments)),
        "rankings": _ids(Ranking.objects.filter(assignment__in=assignments)) | _ids(preferences),
        "completions": {groups[0][0] for groups in preferences.values_list("groups", flat=True)},
    }


def records_by(project: Project, person: User) -> Records:
    return {
        "prompts": _ids(Prompt.objects.filter(project=project, author=person)),
        "demonstrations": _ids(Demonstration.objects.filter(prompt__project=project, author=person)),
        "rankings": _ids(Ranking.objects.filter(prompt__project=project, annotator=person)),
        "completions": _ids(Completion.objects.filter(generator__project=project, generator__person=person)),
    }


def remove(project: Project, found: Records) -> Records:
    """Delete these records and what depends on them; all that went. Pieces of work that they were about are closed."""
    items = _locked_items(project, _with_what_depends(found))
    gone = _with_what_depends(found)  # once more, now that nothing can be added to it
    rankings, demonstrations = _rows(Ranking, gone, "rankings"), _rows(Demonstration, gone, "demonstrations")
    Appeal.objects.filter(
        Q(assignment__ranking__in=rankings) | Q(assignment__demonstration__in=demonstrations)
    ).delete()
    Appeal.objects.filter(assignment__prompt__in=gone["prompts"]).delete()
    rankings.delete()
    demonstrations.delete()
    _rows(Completion, gone, "completions").delete()
    closing.close([item.pk for item in items if item.prompt_id in gone["prompts"] or _shows(item, gone["completions"])])
    _rows(Prompt, gone, "prompts").delete()
    return gone


def note(project: Project, person: User | None, gone: Mapping[str, Any], *, erased: bool = False) -> Withdrawal:
    """Keep the numbers of what went, and tell whoever made something of it. Figures that it was in are forgotten."""
    ids = {kind: sorted(gone[kind]) for kind in Withdrawal.KINDS}
    withdrawal = Withdrawal.objects.create(project=project, person=person, erased=erased, **ids)
    reports.forget(project)
    data_withdrawn.send(sender=Withdrawal, withdrawal=withdrawal)
    return withdrawal


def _tell(project: Project, person: User, gone: Records) -> Withdrawal:
    withdrawal = note(project, person, gone)
    audit.record(audit.Action.WITHDRAWN, actor=person, project=project, person=person.pk, records=withdrawal.counts())
    return withdrawal


def _with_what_depends(found: Records) -> Records:
    """Edits of edits are followed to their end."""
    all_ = {kind: set(ids) for kind, ids in found.items()}
    all_["completions"] |= _ids(Completion.objects.filter(prompt__in=all_["prompts"]))
    edited = all_["completions"]
    while edited:
        outputs = Completion.objects.filter(pk__in=edited)
        edits = Completion.objects.filter(prompt__in=outputs.values("prompt"), sampling__edit_of__in=sorted(edited))
        edited = _ids(edits) - all_["completions"]
        all_["completions"] |= edited
    rankings = Ranking.objects.filter(Q(prompt__in=all_["prompts"]) | _ranks(all_["completions"]))
    made_in = rankings.filter(origin__has_key="edit_in").values_list("origin__edit_in", flat=True)
    all_["rankings"] |= _ids(rankings)
    answers = Demonstration.objects.filter(Q(prompt__in=all_["prompts"]) | Q(assignment__in=list(made_in)))
    all_["demonstrations"] |= _ids(answers)
    return all_


def _ranks(completions: set[int]) -> Q:
    """Rankings that have one of these outputs, shown or as another's twin."""
    if not completions:
        return Q(pk__in=[])
    of_prompt = Q(prompt__in=Completion.objects.filter(pk__in=completions).values("prompt"))
    return of_prompt & (
        Q(shown__overlap=sorted(completions)) | Q(twins__has_any_keys=[str(each) for each in sorted(completions)])
    )


def _locked_items(project: Project, gone: Records) -> list[Item]:
    """The pieces of work about what goes, locked with their assignments and prompts, so that nothing is added now.

    In the order in which skips and submits lock, so that they and this don't wait for each other. Assignments once
    more after their items: somebody may have taken a piece in between.
    """
    prompts = gone["prompts"] | set(_rows(Completion, gone, "completions").values_list("prompt", flat=True))
    begun = Assignment.objects.filter(item__project=project, item__prompt__in=prompts).order_by("pk")
    list(begun.select_for_update(of=("self",)).values_list("pk"))
    items = list(Item.objects.select_for_update().filter(project=project, prompt__in=prompts).order_by("pk"))
    list(begun.select_for_update(of=("self",)).values_list("pk"))
    list(Prompt.objects.select_for_update().filter(pk__in=prompts).order_by("pk").values_list("pk"))
    return items


def _shows(item: Item, completions: set[int]) -> bool:
    return not completions.isdisjoint((*item.completions, *map(int, item.twins), *item.held))


def _rows(model: Any, gone: Records, kind: str) -> QuerySet[Any]:
    rows: QuerySet[Any] = model._default_manager.filter(pk__in=gone[kind])
    return rows


def _ids(rows: QuerySet[Any]) -> set[int]:
    return set(rows.values_list("pk", flat=True))
