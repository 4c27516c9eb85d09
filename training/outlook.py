"""What there is to say of a round before it starts: what it lacks, how long it takes, what it costs, if it fits."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from annotation.models import Project
from training import estimates, plans, room
from training.models import GATED, Policy
from training.options import Options
from training.readiness import Readiness, readiness


@dataclass(frozen=True)
class Outlook:
    """`seconds` is None unless every stage has a figure."""

    ready: Readiness
    estimates: list[estimates.Estimate]
    room: room.Room

    @property
    def seconds(self) -> float | None:
        return estimates.total(self.estimates)

    @property
    def cost(self) -> tuple[Decimal, str] | None:
        return estimates.cost(self.seconds)


def of_round(
    project: Project, options: Options, *, base: Policy | None, counts: dict[str, int] | None = None
) -> Outlook:
    """Of a round with these options from this policy, were it started now."""
    ready = readiness(project, options.stages, gate=options.publish == GATED, counts=counts)
    settled = plans.settings_of(project, options, base=base, counts=ready.counts)
    told = estimates.of_round(project, options, base=base, counts=ready.counts, settled=settled)
    return Outlook(ready, told, room.of_round(base, settled))
