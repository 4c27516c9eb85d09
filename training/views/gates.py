"""A round's gate as its page shows it: how many judgements are in, what came of them, who decided what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from training import gates
from training.models import Gate, GateDecision, GateOutcome, Policy, Round, RoundState
from training.views import meanings


@dataclass(frozen=True)
class Shown:
    """`went_before` is the policy that one may go back to at once; None where there is none, or it is current again."""

    gate: Gate
    judged: int
    settled: int
    sentences: list[str]
    figures: list[tuple[meanings.Meaning, Mapping[str, Any]]]
    decisions: list[GateDecision]
    is_open: bool
    went_before: Policy | None


def shown(round: Round) -> Shown | None:
    gate = Gate.objects.select_related("rival").filter(round=round).first()
    if gate is None:
        return None
    judged, settled = gates.standing(gate)
    named = ("win_rate", "win_rate_equal_length")
    return Shown(
        gate=gate,
        judged=gate.result.get("judgements", judged),
        settled=gate.result.get("settled", settled),
        sentences=list(_sentences(round, gate)),
        figures=[(meanings.meaning(name), gate.result[name]) for name in named if name in gate.result],
        decisions=list(round.decisions.select_related("made_by")),
        is_open=round.state == RoundState.GATE,
        went_before=_went_before(round, gate),
    )


def note(round: Round) -> str:
    judged, _settled = gates.standing(round.gate)
    if judged >= round.gate.judgements:
        return _("All judgements are in; they are about to be looked at.")
    return _("%(judged)d of %(wanted)d judgements are in. It waits for people who rank.") % {
        "judged": judged, "wanted": round.gate.judgements,
    }  # fmt: skip


def percent(share: float) -> str:
    return _("%(share)s%%") % {"share": f"{100 * share:.0f}"}


def _sentences(round: Round, gate: Gate) -> list[str]:
    if round.state == RoundState.GATE:
        return [_("What people say is looked at once, when all are in. Until then nobody sees a win rate.")]
    if not gate.outcome:
        return [_("It was closed before all judgements were in, so no win rate is told.")]
    bar = {"bar": percent(gate.bar)}
    told = {
        GateOutcome.PASSED: _("Both intervals lie above the bar of %(bar)s, so that it was published.") % bar,
        GateOutcome.NOT_PASSED: _(
            "Not both intervals lie above the bar of %(bar)s, so that it was not published by itself. It may be as "
            "good as the other, or better by less than so many judgements can show."
        ) % bar,
        GateOutcome.TOO_FEW: _(
            "Fewer judgements came in than were asked for, and no pair is left to ask about, so that a person decides."
        ),
        GateOutcome.OVERTAKEN: _(
            "Another policy has become the current one meanwhile, and these judgements do not compare with it, so that "
            "a person decides."
        ),
    }[GateOutcome(gate.outcome)]  # fmt: skip
    return [*_in_words(gate.result), told]


def _in_words(result: Mapping[str, Any]) -> list[str]:
    if not result:
        return []
    raw = result["win_rate"]
    said = _("In %(share)s of %(pairs)d pairs people preferred the new policy's output, a tie counting half.") % {
        "share": percent(raw["value"]), "pairs": result["judgements"],
    }  # fmt: skip
    if raw["low"] is None:
        return [said]
    between = _(
        "Over all prompts of the same kind it lies between %(low)s and %(high)s: an interval made so holds the true "
        "share 19 times of 20."
    ) % {"low": percent(raw["low"]), "high": percent(raw["high"])}
    return [said, between]


def _went_before(round: Round, gate: Gate) -> Policy | None:
    """The rival, where the round's policy has taken its place as the current one."""
    if gate.rival.published_at is None or round.policy is None or round.policy.published_at is None:
        return None
    return gate.rival if Policy.objects.current(round.project) == round.policy else None
