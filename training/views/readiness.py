"""Whether a project has enough for a round, by the rules of freezing, and what it would train on now."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.models import Demonstration, Pool, Project, Prompt, Ranking, ReviewState, Split
from training.datasets import NEEDED
from training.models import Policy, Round, RoundState


@dataclass(frozen=True)
class Readiness:
    """`counts` are those of the files that a dataset frozen now would have, repeats included."""

    counts: dict[str, int]
    missing: list[str]
    running: Round | None

    @property
    def is_ready(self) -> bool:
        return not self.missing and self.running is None


def readiness(project: Project) -> Readiness:
    counts = {name: rows.count() for name, rows in _trained_on(project).items()}
    missing = [
        _shortage(name, counts[name], least)
        for name, least in ((file.removesuffix(".jsonl"), least) for file, least in NEEDED.items())
        if counts[name] < least
    ]
    if not Policy.objects.filter(project=project).exists():
        missing.append(_("There is no model to start from: add a policy on the Models page."))
    return Readiness(counts, missing, project.rounds.filter(state=RoundState.RUNNING).first())


def _trained_on(project: Project) -> dict[str, QuerySet[Demonstration] | QuerySet[Ranking] | QuerySet[Prompt]]:
    prompts = Prompt.objects.usable().filter(project=project, split=Split.TRAIN)
    demonstrations = Demonstration.objects.filter(prompt__in=prompts).exclude(review=ReviewState.REJECTED)
    rankings = Ranking.objects.filter(prompt__in=prompts.filter(pool=Pool.REWARD)).exclude(review=ReviewState.REJECTED)
    return {
        "demonstrations": demonstrations,
        "rankings": rankings.filter(groups__1__isnull=False),  # one group alone: all outputs tied
        "prompts": prompts.filter(pool=Pool.POLICY),
    }


def _shortage(name: str, found: int, least: int) -> str:
    """What there is too little of. Only training prompts count, which is why a project may hold more."""
    match name:
        case "demonstrations":
            told = ngettext("%(found)d answer to training prompts", "%(found)d answers to training prompts", found)
        case "rankings":
            told = ngettext(
                "%(found)d ranking of training prompts that feed the reward model",
                "%(found)d rankings of training prompts that feed the reward model", found,
            )  # fmt: skip
        case _:
            told = ngettext(
                "%(found)d training prompt that feeds the policy",
                "%(found)d training prompts that feed the policy",
                found,
            )
    return _("%(told)s, at least %(least)d needed.") % {"told": told % {"found": found}, "least": least}
