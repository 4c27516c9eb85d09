"""What the pages of quality and of the leaderboard show, as plain data: the same for a page, for a script, and kept.

A `question` says what is left out, or looked at alone; {} is everything. People are ids here, or the names that a file
gave, never user names: figures are kept, and a name may change or go.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from datetime import date
from typing import Any

from annotation.leaderboard import leaderboards
from annotation.models import Assignment, AssignmentState, ItemKind, Project, Role
from annotation.quality import Judgement, Who, Written, agreement, judgements_of, krippendorff_alpha, shared
from annotation.quality.report import WhatIf, report, writers

Question = dict[str, Any]
Figures = dict[str, Any]


def quality(project: Project, question: Question) -> Figures:
    """`whole` is the same of everything, beside which a what-if stands; without one it is None."""
    everything = judgements_of(project)
    what_if = WhatIf.asked(question)
    found = report([each for each in everything if what_if.keeps(each)], researchers=researchers_of(project))
    return {
        "report": plain(found),
        "whole": plain(_whole(everything)) if question else None,
        "writers": plain(writers(written_in(project))),
    }


def leaderboard(project: Project, question: Question) -> Figures:
    """Generators with the names that they have now."""
    boards, names = leaderboards(project, use_case=question.get("use_case", ""))
    figures: Figures = {"boards": plain(boards)}
    for board in figures["boards"]:
        for place in board["places"]:
            place["name"] = names[place["generator"]]
    return figures


def plain(value: Any) -> Any:
    """As JSON has it: what has fields becomes an object, a number that is none becomes null, a day its text."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.isoformat() if isinstance(value, date) else value


def researchers_of(project: Project) -> set[Who]:
    """Whose rankings are the reference for others'."""
    return set(project.memberships.filter(role__in=[Role.RESEARCHER, Role.ADMIN]).values_list("user_id", flat=True))


def written_in(project: Project) -> list[Written]:
    """The instructions and answers that people submitted."""
    done = Assignment.objects.filter(item__project=project, state=AssignmentState.SUBMITTED)
    texts = done.exclude(item__kind=ItemKind.RANKING).order_by()
    return [Written(*row) for row in texts.values_list("annotator_id", "seconds", "pasted").iterator()]


def _whole(judgements: list[Judgement]) -> Figures:
    return {
        "rankings": len(judgements),
        "prompts": len({each.prompt for each in judgements}),
        "agreement": agreement(shared(judgements)),
        "alpha": krippendorff_alpha(judgements),
    }
