"""Reviewers' verbs: accept, reject and undo, one piece or many at once. What was rejected enters no dataset.

Nobody reviews their own work. Every decision is kept with its reason, and stands in the audit log.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Min, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from annotation import assignment as leases
from annotation import audit
from annotation.models import Demonstration, Project, Prompt, Ranking, Review, ReviewState, User, WorkKind
from annotation.refusals import Refused
from annotation.wording import storable

LONGEST_REASON = 2_000

Piece = Prompt | Demonstration | Ranking
MODELS: dict[WorkKind, type[Any]] = {
    WorkKind.PROMPT: Prompt,
    WorkKind.DEMONSTRATION: Demonstration,
    WorkKind.RANKING: Ranking,
}
PROJECT = {
    WorkKind.PROMPT: "project",
    WorkKind.DEMONSTRATION: "prompt__project",
    WorkKind.RANKING: "prompt__project",
}
AUTHOR = {WorkKind.PROMPT: "author", WorkKind.DEMONSTRATION: "author", WorkKind.RANKING: "annotator"}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Decisions that a reviewer made at once, and may take back at once."""

    id: uuid.UUID
    kind: WorkKind
    state: ReviewState
    pieces: int
    at: datetime


def work(project: Project, kind: WorkKind) -> QuerySet[Any]:
    """All pieces of a kind in a project."""
    pieces: QuerySet[Any] = MODELS[kind]._default_manager.filter(**{PROJECT[kind]: project})
    return pieces


def find(
    project: Project, kind: WorkKind, *, state: str = "", author: User | None = None, use_case: str = "",
    language: str = "", words: str = "",
) -> QuerySet[Any]:  # fmt: skip
    """The pieces of which all that is given holds, the newest first. `words` stand in the prompt or in the text."""
    prompt = "" if kind == WorkKind.PROMPT else "prompt__"
    wanted = {"review": state, AUTHOR[kind]: author, f"{prompt}use_case": use_case, f"{prompt}language": language}
    pieces = work(project, kind).filter(**{name: value for name, value in wanted.items() if value})
    if words:
        own = {WorkKind.DEMONSTRATION: "text", WorkKind.RANKING: "note", WorkKind.PROMPT: "asked"}[kind]
        pieces = pieces.alias(asked=Cast(f"{prompt}messages", TextField()))
        pieces = pieces.filter(Q(asked__icontains=words) | Q(**{f"{own}__icontains": words}))
    related = [AUTHOR[kind]] if kind == WorkKind.PROMPT else [AUTHOR[kind], "prompt"]
    found: QuerySet[Any] = pieces.select_related(*related).order_by("-pk")
    return found


def decide(
    project: Project,
    *,
    reviewer: User,
    kind: WorkKind,
    pieces: Collection[int] | QuerySet[Any],
    state: ReviewState,
    reason: str = "",
) -> int:
    """Accept or reject pieces, by their ids; how many changed. Those that stand so already, and one's own, do not.

    A rejection needs a reason, which the author reads.
    """
    reason = storable(reason).strip()
    if state == ReviewState.REJECTED and not reason:
        raise Refused(_("Say why: the people whose work is rejected read the reason."))
    if len(reason) > LONGEST_REASON:
        raise Refused(_("The reason is longer than %(longest)d characters.") % {"longest": LONGEST_REASON})
    wanted = work(project, kind).filter(pk__in=pieces).exclude(review=state)
    own = Q(**{AUTHOR[kind]: reviewer.pk})
    with transaction.atomic():
        rows = list(wanted.exclude(own).order_by("pk").select_for_update(of=("self",)))
        reviews = [_review(project, kind, row, state=state, reason=reason, reviewer=reviewer) for row in rows]
        _write(project, kind, reviews, action=audit.Action.REVIEWED, actor=reviewer)
    return len(rows)


def undo(project: Project, *, reviewer: User, batch: uuid.UUID) -> int:
    """Take a batch of one's own back: each piece stands as it did before. How many did change.

    A piece that somebody has decided on since stays as they left it.
    """
    with transaction.atomic():
        taken_back = list(Review.objects.filter(project=project, reviewer=reviewer, batch=batch, undoes=None))
        if not taken_back:
            raise Refused(_("There is no such decision of yours to take back."))
        kind = _kind(taken_back[0])
        ids = [getattr(review, f"{kind}_id") for review in taken_back]
        rows = {
            row.pk: row for row in work(project, kind).filter(pk__in=ids).order_by("pk").select_for_update(of=("self",))
        }
        latest, before = _history(kind, ids)
        reviews = [
            _review(
                project, kind, rows[pk], state=ReviewState(review.previous), reason=before.get(review.pk, ""),
                reviewer=reviewer, undoes=batch,
            )
            for pk, review in zip(ids, taken_back, strict=True)
            if latest[pk] == review.pk
        ]  # fmt: skip
        _write(project, kind, reviews, action=audit.Action.REVIEW_UNDONE, actor=reviewer)
    return len(reviews)


def has_batch(project: Project, batch: uuid.UUID) -> bool:
    """Whether anybody decided so in this project."""
    return Review.objects.filter(project=project, batch=batch).exists()


def recent_batches(project: Project, reviewer: User, *, most: int = 3) -> list[Batch]:
    """The reviewer's last decisions that they can still take back, the newest first."""
    own = Review.objects.filter(project=project, reviewer=reviewer)
    undone = own.exclude(undoes=None).values("undoes")
    rows = own.filter(undoes=None).exclude(batch__in=undone).order_by().values("batch", "state")
    counted = rows.annotate(pieces=Count("pk"), first=Min("pk"), at=Max("created_at")).order_by("-first")[:most]
    firsts = Review.objects.in_bulk([row["first"] for row in counted])
    return [
        Batch(
            id=row["batch"], kind=_kind(firsts[row["first"]]), state=ReviewState(row["state"]), pieces=row["pieces"],
            at=row["at"],
        )
        for row in counted
    ]  # fmt: skip


def reasons(kind: WorkKind, pieces: Iterable[Piece]) -> dict[int, str]:
    """Why each piece stands as it does, by its id: the reason of its newest review, where there is one."""
    found: dict[int, str] = {}
    for review in Review.objects.filter(**{f"{kind}__in": [piece.pk for piece in pieces]}).order_by("pk"):
        found[getattr(review, f"{kind}_id")] = review.reason
    return {pk: reason for pk, reason in found.items() if reason}


def _review(project: Project, kind: WorkKind, row: Piece, *, state: ReviewState, **values: Any) -> Review:
    """The decision on a piece, not written yet."""
    return Review(project=project, **{str(kind): row}, previous=row.review, state=state, **values)


def _write(project: Project, kind: WorkKind, reviews: list[Review], *, action: audit.Action, actor: User) -> None:
    if not reviews:
        return
    batch = uuid.uuid4()
    for review in reviews:
        review.batch = batch
    Review.objects.bulk_create(reviews)
    by_state: dict[str, list[int]] = {}
    for review in reviews:
        by_state.setdefault(review.state, []).append(getattr(review, f"{kind}_id"))
    if kind != WorkKind.PROMPT:
        _ask_again(kind, reviews)
    else:
        _open_or_close(reviews)
    for state, ids in by_state.items():
        work(project, kind).filter(pk__in=ids).update(review=state)
        audit.record(action, actor=actor, project=project, kind=str(kind), state=str(state), ids=ids)


def _ask_again(kind: WorkKind, reviews: list[Review]) -> None:
    """What is rejected is asked for again, and what is rejected no more is not."""
    assignments = MODELS[kind]._default_manager.filter(assignment__isnull=False)
    rejected = {getattr(review, f"{kind}_id"): review.state == ReviewState.REJECTED for review in reviews}
    was = {getattr(review, f"{kind}_id") for review in reviews if review.previous == ReviewState.REJECTED}
    held = dict(assignments.filter(pk__in=rejected).values_list("pk", "assignment"))
    leases.replace([held[pk] for pk in held if rejected[pk]])
    leases.keep([held[pk] for pk in held if pk in was and not rejected[pk]])


def _open_or_close(reviews: list[Review]) -> None:
    """Nobody is asked about an instruction that is rejected."""
    rejected = {review.prompt_id for review in reviews if review.state == ReviewState.REJECTED}
    was = {review.prompt_id for review in reviews if review.previous == ReviewState.REJECTED}
    leases.close([pk for pk in rejected - was if pk])
    leases.reopen([pk for pk in was - rejected if pk])


def _history(kind: WorkKind, ids: Collection[int]) -> tuple[dict[int, int], dict[int, str]]:
    """The newest review of each piece, and the reason that stood before each review."""
    latest: dict[int, int] = {}
    stood: dict[int, str] = {}
    before: dict[int, str] = {}
    for review in Review.objects.filter(**{f"{kind}__in": ids}).order_by("pk"):
        piece = getattr(review, f"{kind}_id")
        before[review.pk] = stood.get(piece, "")
        latest[piece], stood[piece] = review.pk, review.reason
    return latest, before


def _kind(review: Review) -> WorkKind:
    return next(kind for kind in WorkKind if getattr(review, f"{kind}_id") is not None)
