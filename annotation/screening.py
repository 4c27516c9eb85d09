"""Screening as in InstructGPT: sets that a researcher has ranked measure everybody else who ranks them.

A qualification set comes to an annotator before other work, a gold set now and then. Neither takes a slot: all get it.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import audit
from annotation.models import (
    Assignment,
    AssignmentState,
    Item,
    ItemKind,
    Membership,
    Project,
    Purpose,
    Ranking,
    Role,
    User,
)
from annotation.quality.agreement import compared
from annotation.quality.judgements import judgement
from annotation.refusals import Refused

TRUSTED = (Role.RESEARCHER, Role.ADMIN)


class Standing(NamedTuple):
    """How far somebody is with qualifying. `agreement`: with the researchers' answers, over all pairs; NaN before."""

    done: int
    wanted: int
    agreement: float
    bar: float

    @property
    def passed(self) -> bool:
        return self.done >= self.wanted and self.agreement >= self.bar

    @property
    def failed(self) -> bool:
        return self.done >= self.wanted and not self.passed


def standings(project: Project, *, only: User | None = None) -> dict[int, Standing]:
    """Person → standing, of those who have ranked a qualification set. Two queries."""
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
    return {person: _standing(project, own) for person, own in shares.items()}


def of_annotators(project: Project) -> list[tuple[User, Standing]]:
    """How the annotators who have to qualify stand, by name."""
    if not project.qualification_pieces:
        return []
    found = standings(project)
    annotators = User.objects.filter(memberships__project=project, memberships__role=Role.ANNOTATOR)
    measured = annotators.exclude(pk__in=trusted(project)).order_by("username")
    return [(person, found.get(person.pk) or _standing(project, [])) for person in measured]


def standing(project: Project, person: User) -> Standing | None:
    """None where the person need not qualify: the project asks nobody to, or they answer the sets themselves."""
    if not project.qualification_pieces or person.pk in trusted(project):
        return None
    return standings(project, only=person).get(person.pk) or _standing(project, [])


def qualified(project: Project) -> set[int] | None:
    """Those whose work enters datasets; None: everybody's."""
    if not project.qualification_pieces:
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


def _standing(project: Project, shares: list[tuple[float, int]]) -> Standing:
    pairs = sum(pairs for _agreed, pairs in shares)
    return Standing(
        done=len(shares),
        wanted=project.qualification_pieces,
        agreement=sum(agreed for agreed, _pairs in shares) / pairs if pairs else math.nan,
        bar=project.qualification_bar / 100,
    )
