"""Screening as in InstructGPT: sets that a researcher has ranked measure everybody else who ranks them, and reviewers'
decisions everybody who writes answers.

A qualification set comes to an annotator before other work, a gold set now and then. Neither takes a slot: all get it.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import audit
from annotation.models import (
    Assignment,
    AssignmentState,
    Demonstration,
    Item,
    ItemKind,
    Membership,
    Project,
    Purpose,
    Ranking,
    ReviewState,
    Role,
    User,
)
from annotation.quality.agreement import compared
from annotation.quality.judgements import judgement
from annotation.refusals import Refused

TRUSTED = (Role.RESEARCHER, Role.ADMIN)


class Part(NamedTuple):
    """One side of qualifying: `done` of `wanted`, and the share that is to reach the bar; NaN before there is any."""

    done: int
    wanted: int
    share: float
    bar: float

    @property
    def passed(self) -> bool:
        return not self.wanted or (self.done >= self.wanted and self.share >= self.bar)

    @property
    def failed(self) -> bool:
        return self.done >= self.wanted and not self.passed


class Standing(NamedTuple):
    """How far somebody is with qualifying; both parts are to be passed, and one of which none are wanted is.

    `sets`: those they ranked; the share of all pairs in which they agree with the researchers.
    `answers`: those that reviewers decided on; the share that was accepted.
    """

    sets: Part
    answers: Part

    @property
    def passed(self) -> bool:
        return self.sets.passed and self.answers.passed

    @property
    def failed(self) -> bool:
        return self.sets.failed or self.answers.failed


def standings(project: Project, *, only: User | None = None) -> dict[int, Standing]:
    """Person → standing, of those who have ranked a qualification set or have an answer reviewed. Three queries."""
    sets, answers = _sets_ranked(project, only), _answers_reviewed(project, only)
    people = sets.keys() | answers.keys()
    return {person: _standing(project, sets.get(person, []), answers.get(person, (0, 0))) for person in people}


def _sets_ranked(project: Project, only: User | None) -> dict[int, list[tuple[float, int]]]:
    """Person → of each qualification set they ranked, how many pairs agree with the researcher's, and of how many."""
    keys = {
        ranking.assignment.item_id: judgement(ranking)
        for ranking in _answers(project, Purpose.QUALIFICATION)
        if ranking.assignment is not None
    }
    shares: dict[int, list[tuple[float, int]]] = defaultdict(list)
    measured = Ranking.objects.filter(assignment__item__in=keys).exclude(annotator=F("assignment__item__keyed_by"))
    if only is not None:
        measured = measured.filter(annotator=only)
    for ranking in measured.select_related("assignment"):
        if ranking.annotator_id is not None and ranking.assignment is not None:
            same = compared(judgement(ranking), keys[ranking.assignment.item_id])
            shares[ranking.annotator_id].append((same.agreed, same.pairs))
    return shares


def _answers_reviewed(project: Project, only: User | None) -> dict[int, tuple[int, int]]:
    """Person → how many of their answers were accepted, and how many were decided on."""
    reviewed = Demonstration.objects.filter(prompt__project=project, author__isnull=False)
    if only is not None:
        reviewed = reviewed.filter(author=only)
    counted = (
        reviewed.exclude(review=ReviewState.PENDING)
        .order_by()
        .values_list("author")
        .annotate(accepted=Count("pk", filter=Q(review=ReviewState.ACCEPTED)), all=Count("pk"))
    )
    return {person: (accepted, every) for person, accepted, every in counted}


def of_annotators(project: Project) -> list[tuple[User, Standing]]:
    """How the annotators who have to qualify stand, by name."""
    if not project.asks_to_qualify:
        return []
    found = standings(project)
    annotators = User.objects.filter(memberships__project=project, memberships__role=Role.ANNOTATOR)
    measured = annotators.exclude(pk__in=trusted(project)).order_by("username")
    return [(person, found.get(person.pk) or _standing(project)) for person in measured]


def standing(project: Project, person: User) -> Standing | None:
    """None where the person need not qualify: the project asks nobody to, or they answer the sets themselves."""
    if not project.asks_to_qualify or person.pk in trusted(project):
        return None
    return standings(project, only=person).get(person.pk) or _standing(project)


def qualified(project: Project) -> set[int] | None:
    """Those whose work enters datasets; None: everybody's."""
    if not project.asks_to_qualify:
        return None
    return trusted(project) | {person for person, found in standings(project).items() if found.passed}


def trusted(project: Project) -> set[int]:
    return set(Membership.objects.filter(project=project, role__in=TRUSTED).values_list("user", flat=True))


def asides(project: Project) -> QuerySet[Assignment]:
    """Pieces that only measure people: repeats, and sets with a purpose but for their researcher's own answers."""
    own = Assignment.objects.filter(item__project=project)
    measured = own.exclude(item__purpose=Purpose.NONE).exclude(annotator=F("item__keyed_by"))
    return own.filter(Q(repeat__gt=0) | Q(pk__in=measured.values("pk")))


def sets(project: Project) -> QuerySet[Item]:
    """The sets with a purpose. `answered`: their researcher has ranked them, so that they are given out."""
    answer = Assignment.objects.filter(
        item=OuterRef("pk"), annotator=OuterRef("keyed_by"), state=AssignmentState.SUBMITTED
    )
    chosen = Item.objects.filter(project=project).exclude(purpose=Purpose.NONE)
    return chosen.annotate(answered=Exists(answer)).select_related("prompt", "keyed_by").order_by("-purpose", "pk")


def candidates(project: Project) -> QuerySet[Item]:
    """Ranking sets that nobody has begun."""
    begun = Assignment.objects.filter(item=OuterRef("pk"))
    waiting = Item.objects.filter(project=project, kind=ItemKind.RANKING, purpose=Purpose.NONE).exclude(open_slots=[])
    return waiting.filter(~Exists(begun)).select_related("prompt").order_by("pk")


@transaction.atomic
def choose(project: Project, items: Iterable[int], *, purpose: Purpose, by: User) -> int:
    """Make ranking sets that nobody has begun into sets that measure; `by` is to rank them. How many there were."""
    free = Item.objects.select_for_update().filter(pk__in=candidates(project).filter(pk__in=items).values("pk"))
    chosen = [item.pk for item in free]
    Item.objects.filter(pk__in=chosen).update(purpose=purpose, keyed_by=by, open_slots=[])
    if chosen:
        audit.record(audit.Action.SCREENED, actor=by, project=project, purpose=str(purpose), ids=chosen)
    return len(chosen)


@transaction.atomic
def give_up(item: Item, *, by: User) -> None:
    """Put a set back among the others. What people ranked of it no longer measures them."""
    if item.prompt_id is not None:
        slots = list(range(1, item.overlap + 1))
        Item.objects.filter(pk=item.pk).update(purpose=Purpose.NONE, keyed_by=None, open_slots=slots)
    else:
        Item.objects.filter(pk=item.pk).update(purpose=Purpose.NONE, keyed_by=None)
    audit.record(audit.Action.SCREENED, actor=by, project=item.project, purpose="", ids=[item.pk])


def answer(item: Item, researcher: User) -> Assignment:
    """The piece in which the researcher ranks the set on the ranking page. Asked again, the same one."""
    if item.keyed_by_id != researcher.pk or item.prompt_id is None:
        raise Refused(_("This set is not yours to answer."))
    lease = timedelta(minutes=item.project.lease_minutes)
    shown = random.sample(item.completions, len(item.completions))
    piece, _new = Assignment.objects.get_or_create(
        item=item, annotator=researcher, repeat=0,
        defaults={
            "shown": shown, "guidelines": item.project.current_guidelines(),
            "lease_expires_at": timezone.now() + lease,
        },
    )  # fmt: skip
    ended = Assignment.objects.filter(pk=piece.pk).exclude(
        state__in=[AssignmentState.LEASED, AssignmentState.SUBMITTED]
    )
    ended.update(state=AssignmentState.LEASED, skip_reason="", finished_at=None, lease_expires_at=Now() + lease)
    return piece


def _answers(project: Project, purpose: Purpose) -> QuerySet[Ranking]:
    of_sets = Ranking.objects.filter(assignment__item__project=project, assignment__item__purpose=purpose)
    return of_sets.filter(annotator=F("assignment__item__keyed_by")).select_related("assignment")


def _standing(project: Project, sets: Sequence[tuple[float, int]] = (), answers: tuple[int, int] = (0, 0)) -> Standing:
    agreed, pairs = (sum(column) for column in zip(*sets, strict=True)) if sets else (0, 0)
    accepted, reviewed = answers
    return Standing(
        sets=Part(len(sets), project.qualification_pieces, _share(agreed, pairs), project.qualification_bar / 100),
        answers=Part(
            reviewed, project.qualification_answers, _share(accepted, reviewed), project.qualification_accepted / 100
        ),
    )


def _share(part: float, of: int) -> float:
    return part / of if of else math.nan
