"""The form of a ranking, by the letters under which its outputs are shown."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.blinding import LETTERS, by_letter, groups_by_letter
from annotation.forms.base import choice, text_field
from annotation.forms.work import AssignmentForm
from annotation.models import Assignment, Ranking

FLAG_ANSWERS = [("yes", gettext_lazy("Yes")), ("no", gettext_lazy("No")), ("na", gettext_lazy("Not applicable"))]
UNANSWERED = ("", gettext_lazy("Unanswered"))
RATINGS = range(1, 8)


class RankingForm(AssignmentForm):
    """Ranks, ratings and flags by the letter of each output; the letters stand for the order shown to this person."""

    note = text_field(gettext_lazy("Note"), rows=2, required=False)

    def __init__(self, assignment: Assignment, data: Any = None, *, record: Any = None) -> None:
        super().__init__(assignment, data, record=record)
        self.shown = dict(zip(LETTERS, assignment.shown, strict=False))
        ranks = [(rank, str(rank)) for rank in range(1, len(self.shown) + 1)]
        ratings = [(rating, str(rating)) for rating in RATINGS]
        lines = [
            ("", _("not said")),
            (0, _("none")),
            (1, _("rank 1")),
            *((last, _("ranks 1 to %d") % last) for last, _name in ranks[1:]),
        ]
        self.fields["acceptable"] = forms.TypedChoiceField(
            label=_("Acceptable"), choices=lines, coerce=int, required=False, empty_value=None
        )
        answers = [(value, str(label)) for value, label in (*FLAG_ANSWERS, UNANSWERED)]
        for key in self.shown:
            missing = {"required": _("Output %s has no rank yet.") % key.upper()}
            self.fields[f"rank_{key}"] = choice(ranks, coerce=int, error_messages=missing)
            self.fields[f"rating_{key}"] = choice(ratings, coerce=int, required=False)
            for flag in self.project.flags:
                self.fields[f"flag_{key}_{flag['key']}"] = choice(answers, required=False)

    def content_of(self, record: Ranking) -> dict[str, Any]:
        ratings = {int(completion): rating for completion, rating in record.ratings.items()}
        flags = {int(completion): answers for completion, answers in record.flags.items()}
        return {
            "groups": groups_by_letter(self.assignment, record.groups),
            "ratings": by_letter(self.assignment, ratings),
            "flags": by_letter(self.assignment, flags),
            "acceptable": record.acceptable,
            "note": record.note,
        }

    def inputs(self, content: dict[str, Any]) -> dict[str, Any]:
        ranks = {f"rank_{key}": rank for rank, group in enumerate(content["groups"], start=1) for key in group}
        ratings = {f"rating_{key}": rating for key, rating in content["ratings"].items()}
        flags = {f"flag_{key}_{name}": said for key, given in content["flags"].items() for name, said in given.items()}
        return ranks | ratings | flags | {"acceptable": content.get("acceptable"), "note": content["note"]}

    def fields_of(self, key: str) -> dict[str, Any]:
        """The fields of one output, for the template."""
        flags = [(flag, self[f"flag_{key}_{flag['key']}"]) for flag in self.project.flags]
        return {"rank": self[f"rank_{key}"], "rating": self[f"rating_{key}"], "flags": flags}

    def groups(self) -> list[list[int]]:
        """Completion ids, best group first; equal ranks share a group, and gaps between ranks mean nothing."""
        by_rank: dict[int, list[int]] = {}
        for key, completion in self.shown.items():
            by_rank.setdefault(self.cleaned_data[f"rank_{key}"], []).append(completion)
        return [by_rank[rank] for rank in sorted(by_rank)]

    def acceptable(self) -> int | None:
        """How many groups stand above the line, which is drawn after a rank."""
        last = self.cleaned_data["acceptable"]
        if last is None:
            return None
        return len({rank for key in self.shown if (rank := self.cleaned_data[f"rank_{key}"]) <= last})

    def ratings(self) -> dict[int, int]:
        given = {completion: self.cleaned_data[f"rating_{key}"] for key, completion in self.shown.items()}
        return {completion: rating for completion, rating in given.items() if rating}

    def flags(self) -> dict[int, dict[str, str]]:
        answers: dict[int, dict[str, str]] = {}
        for key, completion in self.shown.items():
            for flag in self.project.flags:
                if answer := self.cleaned_data[f"flag_{key}_{flag['key']}"]:
                    answers.setdefault(completion, {})[flag["key"]] = answer
        return answers
