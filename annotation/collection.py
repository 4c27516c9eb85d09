"""The write verbs for people's work. Every submit is one transaction, counts once however often it is sent, and is
the work of its assignment's annotator.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.db import IntegrityError, models, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from annotation import assignment as leases
from annotation import blinding, editing
from annotation.adding import (
    NewCompletion,
    NewPrompt,
    RankingSet,
    add_completions,
    add_prompt,
    add_prompts,
    add_ranking_items,
)
from annotation.exporting import pseudonym
from annotation.models import (
    Assignment,
    AssignmentState,
    Completion,
    Demonstration,
    Generator,
    GeneratorKind,
    ItemKind,
    Prompt,
    Ranking,
)
from annotation.models.texts import Message
from annotation.refusals import Refused
from annotation.wording import cleaned, cleaned_messages, storable, storable_json

__all__ = [
    "NewCompletion",
    "NewPrompt",
    "RankingSet",
    "Refused",
    "add_completions",
    "add_prompt",
    "add_prompts",
    "add_ranking_items",
    "improve",
    "save_draft",
    "submit_demonstration",
    "submit_instruction",
    "submit_ranking",
]

RATINGS = range(1, 8)
FLAG_ANSWERS = ("yes", "no", "na")
LONGEST_NOTE = 4_000
LONGEST_DRAFT = 400_000
ENDED = (AssignmentState.SUBMITTED, AssignmentState.WITHDRAWN)  # nothing more is kept for these

Record = TypeVar("Record", Prompt, Demonstration, Ranking)


class Improvement(NamedTuple):
    """The records that the edit of an output makes."""

    demonstration: Demonstration
    completion: Completion
    preference: Ranking


def submit_instruction(
    assignment: Assignment, *, client_key: UUID, messages: Sequence[Message], kind: str, use_case: str, language: str,
    spent: float | None = None, pasted: int | None = None, edit: bool = False,
) -> Prompt:  # fmt: skip
    """`edit`, here and below: in place of what was submitted. `spent`: the seconds that the person was at it.

    `pasted`: how many characters came by pasting; None where nobody counted.
    """
    project = assignment.item.project
    _expect(assignment, ItemKind.INSTRUCTION)
    content: dict[str, Any] = {
        "messages": cleaned_messages(messages, longest=project.max_prompt_characters),
        "kind": kind, "use_case": use_case, "language": language,
    }  # fmt: skip

    def record() -> Prompt:
        return add_prompt(project, author=assignment.annotator, assignment=assignment, **content)

    if edit:
        return editing.replace(assignment, Prompt, content)
    share = _share(pasted, sum(len(message["content"]) for message in content["messages"]))
    return _submit(
        assignment, Prompt, client_key=client_key, content=content, record=record, draft=content, spent=spent,
        pasted=share,
    )  # fmt: skip


def submit_demonstration(
    assignment: Assignment, *, client_key: UUID, text: str, spent: float | None = None, pasted: int | None = None,
    edit: bool = False,
) -> Demonstration:  # fmt: skip
    _expect(assignment, ItemKind.DEMONSTRATION)
    content = {"text": cleaned(text, longest=assignment.item.project.max_answer_characters)}

    def record() -> Demonstration:
        return Demonstration.objects.create(
            assignment=assignment, prompt=assignment.item.asked, author_id=assignment.annotator_id,
            guidelines_id=assignment.guidelines_id, **content,
        )  # fmt: skip

    if edit:
        return editing.replace(assignment, Demonstration, content)
    return _submit(
        assignment, Demonstration, client_key=client_key, content=content, record=record, draft=content, spent=spent,
        pasted=_share(pasted, len(content["text"])),
    )  # fmt: skip


def submit_ranking(
    assignment: Assignment, *, client_key: UUID, groups: Sequence[Sequence[int]], ratings: Mapping[int, int],
    flags: Mapping[int, Mapping[str, str]], acceptable: int | None = None, note: str = "", seconds: float | None = None,
    edit: bool = False,
) -> Ranking:  # fmt: skip
    """`groups` holds completion ids, best group first; they must be exactly the completions shown.

    `acceptable`: how many groups, from the best, stand above the line of what is acceptable; None: no line drawn.
    """
    _expect(assignment, ItemKind.RANKING)
    _check_groups(assignment, groups)
    _check_ratings(assignment, ratings)
    _check_flags(assignment, flags)
    if acceptable is not None and not 0 <= acceptable <= len(groups):
        raise Refused(
            _("The line of what is acceptable is after group %(found)d; expected 0 to %(most)d.")
            % {"found": acceptable, "most": len(groups)}
        )
    content: dict[str, Any] = {
        "groups": [sorted(group) for group in groups],
        "ratings": {str(completion): rating for completion, rating in ratings.items()},
        "flags": {str(completion): dict(answers) for completion, answers in flags.items() if answers},
        "acceptable": acceptable,
        "note": storable(note).strip(),
    }
    if seconds is not None and not 0 <= seconds < math.inf:
        raise Refused(_("The seconds taken are %(found)r; expected a number of at least 0.") % {"found": seconds})
    if len(content["note"]) > LONGEST_NOTE:
        raise Refused(_("The note is longer than %(longest)d characters.") % {"longest": LONGEST_NOTE})

    def record() -> Ranking:
        return Ranking.objects.create(
            assignment=assignment, prompt=assignment.item.asked, annotator_id=assignment.annotator_id,
            guidelines_id=assignment.guidelines_id, shown=assignment.shown, seconds=seconds,
            twins=assignment.item.twins, **content,
        )  # fmt: skip

    draft = {
        "groups": blinding.groups_by_letter(assignment, groups),
        "ratings": blinding.by_letter(assignment, ratings),
        "flags": blinding.by_letter(assignment, flags),
        "acceptable": acceptable,
        "note": note,
    }
    if edit:
        return editing.replace(assignment, Ranking, content)
    return _submit(
        assignment, Ranking, client_key=client_key, content=content, record=record, draft=draft, spent=seconds
    )


def improve(assignment: Assignment, *, completion: int, text: str) -> Improvement:
    """Edit the output that one has ranked best: three records of one gesture. The same text again changes nothing.

    The edit is an answer to the prompt (a demonstration), an output whose generator is the person, and preferred to
    what it was made of (a ranking of the two that belongs to no assignment).
    """
    _expect(assignment, ItemKind.RANKING)
    text = cleaned(text, longest=assignment.item.project.max_answer_characters)
    with transaction.atomic():
        Assignment.objects.select_for_update(of=("self",)).get(pk=assignment.pk)
        ranked = Ranking.objects.filter(assignment=assignment).first()
        if ranked is None:
            raise Refused(_("Submit the ranking first; then its best output can be edited."))
        if completion not in ranked.groups[0]:
            raise Refused(_("Only the output that you ranked best can be edited."))
        if before := Demonstration.objects.filter(assignment=assignment).first():
            return _improved_before(ranked, before, text)
        original = Completion.objects.get(pk=completion)
        if text == original.text.strip():
            raise Refused(_("The text is as it was. Change it first."))
        return _improve(assignment, original, text)


def _improve(assignment: Assignment, original: Completion, text: str) -> Improvement:
    about: dict[str, Any] = {"prompt": assignment.item.asked, "guidelines_id": assignment.guidelines_id}
    demonstration = Demonstration.objects.create(
        assignment=assignment, author_id=assignment.annotator_id, text=text, **about
    )
    name = f"person-{pseudonym(assignment.item.project, assignment.annotator_id)}"
    writer, _new = Generator.objects.get_or_create(
        project=assignment.item.project, name=name,
        defaults={"kind": GeneratorKind.PERSON, "person_id": assignment.annotator_id},
    )  # fmt: skip
    edit = Completion.objects.create(
        generator=writer, prompt=assignment.item.asked, text=text, sampling={"edit_of": original.pk}
    )
    preference = Ranking.objects.create(
        annotator_id=assignment.annotator_id, groups=[[edit.pk], [original.pk]], shown=[original.pk, edit.pk],
        origin={"edit_in": assignment.pk}, **about,
    )  # fmt: skip
    return Improvement(demonstration, edit, preference)


def _improved_before(ranked: Ranking, demonstration: Demonstration, text: str) -> Improvement:
    preference = Ranking.objects.get(prompt=ranked.prompt_id, origin__edit_in=ranked.assignment_id)
    if demonstration.text != text:
        raise Refused(_("You have edited an output of this set already; the first edit is kept."))
    return Improvement(demonstration, Completion.objects.get(pk=preference.groups[0][0]), preference)


def save_draft(assignment: Assignment, draft: dict[str, Any]) -> None:
    """Keep what was typed so far, and the lease alive. A draft that arrives after its submit changes nothing."""
    if len(json.dumps(draft)) > LONGEST_DRAFT:
        raise Refused(_("The draft is too long to be kept."))
    lease = timedelta(minutes=assignment.item.project.lease_minutes)
    own = Assignment.objects.filter(pk=assignment.pk).exclude(state__in=ENDED)
    in_work = When(state=AssignmentState.LEASED, then=Now() + lease)
    own.update(draft=storable_json(draft), lease_expires_at=Case(in_work, default=F("lease_expires_at")))


def _submit(
    assignment: Assignment, model: type[Record], *, client_key: UUID, content: dict[str, Any],
    record: Callable[[], Record], draft: dict[str, Any], spent: float | None, pasted: float | None = None,
) -> Record:  # fmt: skip
    try:
        with transaction.atomic():
            finish = leases.finish(assignment, client_key=client_key, spent=spent, pasted=pasted)
            if finish is leases.Finish.COUNTED:
                return record()
    except IntegrityError as error:
        if "assignment_client_key_once" in str(error):
            raise Refused(_("This key was sent with another piece of work. Please reload the page.")) from error
        raise
    if finish is leases.Finish.ALREADY:
        return _submitted_before(assignment, model, client_key=client_key, content=content)
    kept = Value({"late": draft}, models.JSONField())
    Assignment.objects.filter(pk=assignment.pk).exclude(state__in=ENDED).update(draft=kept)
    raise Refused(
        _("The time for this piece ran out and others have done it meanwhile, so it doesn't count. Your work is kept.")
    )


def _share(pasted: int | None, length: int) -> float | None:
    """Of a text, what was pasted into it. What was pasted and taken out again counts too, so it is one at most."""
    return None if pasted is None else min(1.0, pasted / length)


def _submitted_before(
    assignment: Assignment, model: type[Record], *, client_key: UUID, content: dict[str, Any]
) -> Record:
    """The record of the first submit, if this is the same one sent again."""
    record = model._default_manager.get(assignment=assignment)
    if Assignment.objects.values_list("client_key", flat=True).get(pk=assignment.pk) != client_key:
        raise Refused(_("You have submitted this piece already."))
    if any(getattr(record, name) != value for name, value in content.items()):
        raise Refused(_("You have submitted this piece already, with other content; the first is kept."))
    return record


def _expect(assignment: Assignment, kind: ItemKind) -> None:
    if assignment.state == AssignmentState.WITHDRAWN:
        raise Refused(_("This piece was taken back, so nothing more can be handed in for it."))
    if assignment.item.kind != kind:
        raise Refused(
            _("This piece is to %(found)s, not to %(sent)s.")
            % {"found": ItemKind(assignment.item.kind).label, "sent": kind.label}
        )


def _check_groups(assignment: Assignment, groups: Sequence[Sequence[int]]) -> None:
    ranked = [completion for group in groups for completion in group]
    if sorted(ranked) != sorted(assignment.shown) or not all(groups):
        raise Refused(
            _("Rank each of the %(shown)d outputs exactly once; %(ranked)d of them are ranked.")
            % {"shown": len(assignment.shown), "ranked": len(set(ranked) & set(assignment.shown))}
        )


def _check_ratings(assignment: Assignment, ratings: Mapping[int, int]) -> None:
    if not ratings.keys() <= set(assignment.shown):
        raise Refused(_("A rating is for an output that was not shown."))
    for rating in ratings.values():
        if isinstance(rating, bool) or rating not in RATINGS:
            raise Refused(_("A rating is %(found)r; expected a whole number from 1 to 7.") % {"found": rating})


def _check_flags(assignment: Assignment, flags: Mapping[int, Mapping[str, str]]) -> None:
    if not flags.keys() <= set(assignment.shown):
        raise Refused(_("A flag is for an output that was not shown."))
    known = {flag["key"] for flag in assignment.item.project.flags}
    for name, answer in (pair for answers in flags.values() for pair in answers.items()):
        if name not in known:
            raise Refused(_("This project has no flag %(found)r.") % {"found": name})
        if answer not in FLAG_ANSWERS:
            raise Refused(_("A flag's answer is %(found)r; expected yes, no or na.") % {"found": answer})
