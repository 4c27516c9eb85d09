"""Whether a project has enough for a round, by the rules of freezing, and what it would train on now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation import screening
from annotation.models import Demonstration, Pool, Project, Prompt, Ranking, ReviewState, Split
from annotation.models.work import UNSEALED
from training import gates
from training.evaluation.intervals import FEWEST
from training.models import USUAL, Policy, RewardModel, Round, RoundStage, RoundState
from training.options import needs_reward_model

Row = TypeVar("Row", Prompt, Demonstration, Ranking)


@dataclass(frozen=True)
class Readiness:
    """`counts` are those of `counted`; `missing` says what a round of the stages chosen lacks."""

    counts: dict[str, int]
    missing: list[str]
    running: Round | None
    has_policy: bool


def needed(stages: Collection[str]) -> dict[str, int]:
    """How many rows of each file a round of these stages needs at least."""
    least = {RoundStage.SFT: "demonstrations", RoundStage.REWARD_MODEL: "rankings", RoundStage.DPO: "rankings",
             RoundStage.PPO: "prompts"}  # fmt: skip
    return {f"{least[stage]}.jsonl": 1 for stage in RoundStage if stage in stages and stage in least}


def counted(project: Project) -> dict[str, int]:
    """Rows of the files that a dataset frozen now would have, repeats included."""
    return {name: rows.count() for name, rows in trained_on(project).items()}


def readiness(
    project: Project, stages: Collection[str] = USUAL, *, gate: bool = False, counts: dict[str, int] | None = None
) -> Readiness:
    counts = counts or counted(project)
    missing = [
        _shortage(name, counts[name], least)
        for name, least in ((file.removesuffix(".jsonl"), least) for file, least in needed(stages).items())
        if counts[name] < least
    ]
    if gate and (found := gates.held_out(project).count()) < FEWEST:
        missing.append(gates.too_few_prompts(found))
    has_policy = Policy.objects.filter(project=project).exists()
    if not has_policy:
        missing.append(_("There is no model to start from: add a policy on the Models page."))
    if needs_reward_model(stages) and not RewardModel.objects.filter(project=project).exists():
        missing.append(_("There is no reward model yet: let the round train one."))
    running = project.rounds.filter(state=RoundState.RUNNING, gated_at=None).first()
    return Readiness(counts, missing, running, has_policy)


def trained_on(project: Project) -> dict[str, QuerySet[Demonstration] | QuerySet[Ranking] | QuerySet[Prompt]]:
    """What a round started now would train on and measure on, by file."""
    qualified = screening.qualified(project)
    usable = _by(qualified, "author", Prompt.objects.usable().filter(project=project))
    prompts, held_out = usable.filter(split=Split.TRAIN), usable.exclude(split=Split.TRAIN)
    answers = Demonstration.objects.filter(prompt__in=prompts).exclude(review=ReviewState.REJECTED)
    demonstrations = _by(qualified, "author", answers)
    judged = Ranking.objects.filter(UNSEALED).exclude(review=ReviewState.REJECTED)
    judged = judged.exclude(assignment__in=screening.asides(project).values("pk"))
    rankings = _by(qualified, "annotator", judged.filter(groups__1__isnull=False))  # not all tied
    return {
        "demonstrations": demonstrations,
        "rankings": rankings.filter(prompt__in=prompts.filter(pool=Pool.REWARD)),
        "rankings_held_out": rankings.filter(prompt__in=held_out),
        "prompts": prompts.filter(pool=Pool.POLICY),
        "prompts_held_out": held_out,
    }


def _by(qualified: set[int] | None, who: str, rows: QuerySet[Row]) -> QuerySet[Row]:
    """Without what people did who have not qualified. Nobody asks that of rows that came in files."""
    return rows if qualified is None else rows.filter(Q(**{who: None}) | Q(**{f"{who}__in": qualified}))


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
