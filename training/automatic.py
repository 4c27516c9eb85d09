"""Rounds that start by themselves: like the last one, when enough is new. Looked at by the sweep."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from annotation.audit import record
from annotation.models import Project, User
from annotation.quality import BY_CHANCE, judgements_of, shared
from training import rounds
from training.auditing import Action
from training.models import AutomaticRounds, Dataset, Pause, Round, RoundState
from training.readiness import trained_on

LOOK_EVERY = timedelta(minutes=1)
PAIRS_TO_TELL = 30  # fewer say nothing of how people agree


def of(project: Project) -> AutomaticRounds:
    """The project's rule; off, where nobody has made one."""
    return AutomaticRounds.objects.filter(project=project).first() or AutomaticRounds(project=project)


def change(rule: AutomaticRounds, *, user: User) -> None:
    """Keep the rule as it is now. What paused it is forgotten: the next look tells."""
    rule.changed_by, rule.pause, rule.refusal, rule.looked_at = user, "", "", None
    rule.save()
    record(Action.AUTOMATIC_ROUNDS, actor=user, project=rule.project, on=rule.is_on)


def new_rows(project: Project) -> dict[str, int]:
    """Rankings and answers that would be trained on and that no round has had yet."""
    learnt, rows = _learnt(project), trained_on(project)
    return {name: rows[name].filter(pk__gt=learnt.get(name, 0)).count() for name in ("rankings", "demonstrations")}


def sweep() -> None:
    """Look at every rule that has not been looked at for a minute."""
    due = Q(looked_at=None) | Q(looked_at__lt=timezone.now() - LOOK_EVERY)
    for rule in AutomaticRounds.objects.filter(due, is_on=True, project__archived_at=None).select_related("project"):
        look(rule)


def look(rule: AutomaticRounds) -> Round | None:
    """Start a round like the last one if it is time for one; note why not where a person has to look."""
    last = rule.project.rounds.order_by("-number").first()
    started, pause, refusal = None, "", ""
    if last and last.state in (RoundState.FAILED, RoundState.CANCELLED):
        pause = Pause.ENDED_BADLY
    elif _is_due(rule, last) and _agree_too_little(rule):
        pause = Pause.AGREEMENT
    elif _is_due(rule, last):
        try:
            started = rounds.start(rule.project, user=rule.changed_by, options=_like(last))
        except rounds.RoundRefused as reason:
            if not rule.project.rounds.filter(state=RoundState.RUNNING).exists():  # else another began it
                pause, refusal = Pause.REFUSED, str(reason)
    AutomaticRounds.objects.filter(pk=rule.pk).update(pause=pause, refusal=refusal, looked_at=timezone.now())
    return started


def _learnt(project: Project) -> dict[str, int]:
    """Up to which number the last round had each kind of rows."""
    last = Dataset.objects.filter(project=project, rounds__isnull=False).order_by("-id").first()
    return dict(last.filters.get("up_to", {})) if last else {}


def _is_due(rule: AutomaticRounds, last: Round | None) -> bool:
    if last and (last.state in rounds.UNDER_WAY or last.created_at + timedelta(hours=rule.hours) > timezone.now()):
        return False
    new = new_rows(rule.project)
    wanted = {"rankings": rule.rankings, "demonstrations": rule.demonstrations}
    return any(least and new[name] >= least for name, least in wanted.items())


def _agree_too_little(rule: AutomaticRounds) -> bool:
    """Whether people agree on less of what is new than the bar; too few pairs in common say nothing.

    Sets that were chosen for being hard are left out: people agree less on them, whoever they are.
    """
    if rule.agreement is None:
        return False
    since = Q(pk__gt=_learnt(rule.project).get("rankings", 0))
    rows = shared(judgements_of(rule.project, only=since & BY_CHANCE))
    agreed, pairs = sum(row.agreed for row in rows), sum(row.pairs for row in rows)
    return pairs >= PAIRS_TO_TELL and 100 * agreed < rule.agreement * pairs


def _like(last: Round | None) -> dict[str, Any]:
    """The options of the last round, and its base; the usual ones for a first round."""
    return {**last.options, "base": last.base_id} if last else {}
