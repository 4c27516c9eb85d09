"""How good the work is, for reviewers; which generators people prefer, for researchers. Looking changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.forms import WhatIfForm
from annotation.leaderboard import leaderboards
from annotation.models import Assignment, AssignmentState, ItemKind, Project, Ranking, ReviewState, Role, UseCase, User
from annotation.quality import Judgement, Who, Written, agreement, judgements_of, krippendorff_alpha, shared
from annotation.quality.report import Look, WhatIf, report, writers
from annotation.views.decorators import SignedInRequest, project_page

LOOKS = {
    Look.AGREES_LESS: gettext_lazy("agrees less than others"),
    Look.INCONSISTENT: gettext_lazy("agrees with themselves less than others with each other"),
    Look.POSITION: gettext_lazy("favours the output shown first"),
    Look.STRAIGHT: gettext_lazy("often ties all, or leaves them as shown"),
    Look.FAST: gettext_lazy("takes less than a third of the usual time"),
}
EFFECTS = {
    "length": gettext_lazy("Twice as long"),
    "headings": gettext_lazy("With headings"),
    "lists": gettext_lazy("With lists"),
    "bold": gettext_lazy("With bold text"),
}


@project_page("GET", roles=(Role.REVIEWER,))
def quality(request: SignedInRequest, project: Project) -> HttpResponse:
    everything = judgements_of(project)
    names = names_of(everything)
    form = WhatIfForm(request.GET or None, names=names)
    what_if = form.what_if()
    kept = [each for each in everything if what_if.keeps(each)]
    found = report(kept, researchers=researchers_of(project))
    rejected = rejected_by(project)
    writing = writers(written_in(project))
    people = dict(User.objects.filter(pk__in=[each.who for each in writing]).values_list("pk", "username"))
    context: dict[str, Any] = {
        "project": project,
        "report": found,
        "annotators": [
            {
                "figures": each,
                "name": names[each.who],
                "rejected": rejected[each.who],
                "look": [LOOKS[look] for look in each.look],
            }
            for each in found.annotators
        ],
        "pairs": [{"figures": pair, "names": (names[pair.one], names[pair.other])} for pair in found.pairs],
        "use_cases": [(capfirst(str(UseCase(str(group.name)).label)), group) for group in found.use_cases],
        "writers": [(people.get(each.who, "–"), each) for each in writing],
        "form": form,
        "whole": whole(everything) if what_if != WhatIf() else None,
    }
    return render(request, "annotation/quality.html", context)


@project_page("GET", roles=(Role.RESEARCHER,))
def leaderboard(request: SignedInRequest, project: Project) -> HttpResponse:
    asked = request.GET.get("use_case", "")
    use_case = asked if asked in UseCase.values else ""
    boards, names = leaderboards(project, use_case=use_case)
    context = {
        "project": project,
        "boards": [
            {
                "board": board,
                "places": [{"figures": place, "name": names[place.generator]} for place in board.places],
                "effects": [{"figures": effect, "name": EFFECTS[effect.name]} for effect in board.effects],
            }
            for board in boards
        ],
        "use_case": use_case,
        "use_cases": [(value, capfirst(str(label))) for value, label in UseCase.choices],
    }
    return render(request, "annotation/leaderboard.html", context)


def whole(judgements: list[Judgement]) -> dict[str, Any]:
    """The same of everything, beside which a what-if stands."""
    return {
        "rankings": len(judgements),
        "prompts": len({each.prompt for each in judgements}),
        "agreement": agreement(shared(judgements)),
        "alpha": krippendorff_alpha(judgements),
    }


def names_of(judgements: Iterable[Judgement]) -> dict[Who, str]:
    """What to call each annotator: their user name, or the name that a file gave."""
    seen = {each.annotator for each in judgements}
    people = dict(
        User.objects.filter(pk__in=[who for who in seen if isinstance(who, int)]).values_list("pk", "username")
    )
    named = {who: people.get(who, str(who)) if isinstance(who, int) else who or _("unknown") for who in seen}
    return dict(sorted(named.items(), key=lambda entry: entry[1].casefold()))


def written_in(project: Project) -> list[Written]:
    """The instructions and answers that people submitted."""
    done = Assignment.objects.filter(item__project=project, state=AssignmentState.SUBMITTED)
    texts = done.exclude(item__kind=ItemKind.RANKING).order_by()
    return [Written(*row) for row in texts.values_list("annotator_id", "seconds", "pasted").iterator()]


def researchers_of(project: Project) -> set[Who]:
    """Whose rankings are the reference for others'."""
    return set(project.memberships.filter(role__in=[Role.RESEARCHER, Role.ADMIN]).values_list("user_id", flat=True))


def rejected_by(project: Project) -> Counter[Who]:
    rejected = Ranking.objects.filter(prompt__project=project, review=ReviewState.REJECTED)
    rows = rejected.values_list("annotator_id", "origin")
    return Counter(origin.get("annotator") or person for person, origin in rows)
