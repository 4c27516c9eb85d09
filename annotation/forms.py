"""The forms of the annotation pages: a project's limits, languages and flags in, what the verbs take out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.db.models import TextChoices
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation import importing
from annotation.blinding import LETTERS
from annotation.models import (
    Assignment,
    ItemKind,
    Project,
    PromptKind,
    ReviewState,
    Role,
    UseCase,
    User,
    WorkKind,
)
from annotation.models.texts import Message
from annotation.quality import Who
from annotation.quality.report import WhatIf
from annotation.templatetags.plumbline import language_name


def capitalised(choices: type[TextChoices]) -> list[tuple[str, Any]]:
    """The choices as they stand at the head of a line; the labels are translated when they are shown."""
    return [(value, capfirst(label)) for value, label in choices.choices]


KIND_LABELS = {
    "instructions": gettext_lazy("Instructions"),
    "demonstrations": gettext_lazy("Demonstrations"),
    "completions": gettext_lazy("Outputs"),
    "rankings": gettext_lazy("Rankings"),
    "comparisons": gettext_lazy("Comparisons"),
}
EXAMPLES = range(1, 4)
FLAG_ANSWERS = [("yes", gettext_lazy("Yes")), ("no", gettext_lazy("No")), ("na", gettext_lazy("Not applicable"))]
RATINGS = range(1, 8)


class PageForm(forms.Form):
    """A form of ours: the label is the label, with nothing put behind it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})


class AssignmentForm(PageForm):
    """What every submit of work carries. A draft holds the page's own inputs by name, so it fills the form again."""

    client_key = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, assignment: Assignment, data: Any = None) -> None:
        super().__init__(data, initial=assignment.draft if data is None else None)
        self.assignment = assignment
        self.project: Project = assignment.item.project


def text_field(label: Any, *, rows: int, required: bool = True) -> forms.CharField:
    """A text of many lines in the direction of its own language. What is too long is refused by the verbs."""
    widget = forms.Textarea({"rows": rows, "dir": "auto"})
    return forms.CharField(label=label, required=required, widget=widget)


class InstructionForm(AssignmentForm):
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=capitalised(PromptKind), initial=PromptKind.PLAIN)
    use_case = forms.ChoiceField(label=gettext_lazy("Use case"), choices=capitalised(UseCase))
    language = forms.ChoiceField(label=gettext_lazy("Language of the text"))
    text = text_field(gettext_lazy("Instruction"), rows=7)
    query = text_field(gettext_lazy("The new case to answer"), rows=3, required=False)

    def __init__(self, assignment: Assignment, data: Any = None) -> None:
        super().__init__(assignment, data)
        self.fields["language"].choices = [(code, language_name(code)) for code in self.project.languages]  # type: ignore[attr-defined]
        for number in EXAMPLES:
            self.fields[f"example_{number}"] = text_field(_("Example %d") % number, rows=2, required=False)
            self.fields[f"answer_{number}"] = text_field(_("Answer to example %d") % number, rows=2, required=False)
        self.fields["text"].widget.attrs["data-limit"] = self.project.max_prompt_characters

    def pairs(self) -> list[Any]:
        return [(self[f"example_{number}"], self[f"answer_{number}"]) for number in EXAMPLES]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        cleaned["messages"] = self.as_messages(cleaned)
        return cleaned

    def as_messages(self, cleaned: dict[str, Any]) -> list[Message]:
        """The prompt as a chat. A few-shot prompt is its examples as turns, with the instruction before the first."""
        text = cleaned.get("text", "")
        if cleaned.get("kind") != PromptKind.FEW_SHOT:
            return [{"role": "user", "content": text}]
        turns: list[Message] = []
        for number in EXAMPLES:
            example, answer = cleaned.get(f"example_{number}", ""), cleaned.get(f"answer_{number}", "")
            if bool(example) != bool(answer):
                missing = f"example_{number}" if answer else f"answer_{number}"
                self.add_error(missing, _("An example needs both its text and its answer."))
            elif example:
                turns += [{"role": "user", "content": example}, {"role": "assistant", "content": answer}]
        if not turns:
            self.add_error("example_1", _("A few-shot instruction needs at least one example with its answer."))
        if not cleaned.get("query"):
            self.add_error("query", _("Say which new case is to be answered after the examples."))
        turns.append({"role": "user", "content": cleaned.get("query", "")})
        turns[0] = {"role": "user", "content": f"{text}\n\n{turns[0]['content']}"}
        return turns


class DemonstrationForm(AssignmentForm):
    text = text_field(gettext_lazy("Your answer"), rows=14)

    def __init__(self, assignment: Assignment, data: Any = None) -> None:
        super().__init__(assignment, data)
        self.fields["text"].widget.attrs["data-limit"] = self.project.max_answer_characters


class RankingForm(AssignmentForm):
    """Ranks, ratings and flags by the letter of each output; the letters stand for the order shown to this person."""

    note = text_field(gettext_lazy("Note"), rows=2, required=False)
    seconds = forms.FloatField(required=False, min_value=0, widget=forms.HiddenInput)

    def __init__(self, assignment: Assignment, data: Any = None) -> None:
        super().__init__(assignment, data)
        self.shown = dict(zip(LETTERS, assignment.shown, strict=False))
        ranks = [(rank, str(rank)) for rank in range(1, len(self.shown) + 1)]
        ratings = [(rating, str(rating)) for rating in RATINGS]
        for key in self.shown:
            missing = {"required": _("Output %s has no rank yet.") % key.upper()}
            self.fields[f"rank_{key}"] = choice(ranks, coerce=int, error_messages=missing)
            self.fields[f"rating_{key}"] = choice(ratings, coerce=int, required=False)
            for flag in self.project.flags:
                self.fields[f"flag_{key}_{flag['key']}"] = choice(FLAG_ANSWERS, coerce=str, required=False)

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


def choice(choices: list[tuple[Any, Any]], **options: Any) -> forms.TypedChoiceField:
    return forms.TypedChoiceField(choices=choices, widget=forms.RadioSelect, empty_value=None, **options)


FORMS: dict[str, type[AssignmentForm]] = {
    ItemKind.INSTRUCTION: InstructionForm,
    ItemKind.DEMONSTRATION: DemonstrationForm,
    ItemKind.RANKING: RankingForm,
}


class MemberForm(PageForm):
    username = forms.CharField(label=gettext_lazy("User name"), max_length=150)
    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=capitalised(Role))

    def clean_username(self) -> User:
        """The person of that name; they sign in already, so they have an account."""
        name = self.cleaned_data["username"]
        person = User.objects.filter(username__iexact=name, is_active=True).first()
        if person is None:
            raise forms.ValidationError(_("Nobody is called “%s” here. People need an account first.") % name)
        return person


class TokenForm(PageForm):
    name = forms.CharField(label=gettext_lazy("What it is for"), max_length=80)
    days = forms.IntegerField(label=gettext_lazy("Days until it expires"), min_value=1, max_value=365, initial=90)


class ImportForm(PageForm):
    kind = forms.ChoiceField(
        label=gettext_lazy("What the file holds"), choices=[(kind, KIND_LABELS[kind]) for kind in importing.KINDS]
    )
    file = forms.FileField(label=gettext_lazy("File"), help_text=gettext_lazy("JSON lines, CSV or Parquet."))
    keep_good = forms.BooleanField(label=gettext_lazy("Import the good lines even if some are bad"), required=False)


class WhatIfForm(PageForm):
    """What to leave out of the figures of quality. Read from the address, so that a view of it can be shared."""

    since = forms.DateField(label=gettext_lazy("First day"), required=False, widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(label=gettext_lazy("Last day"), required=False, widget=forms.DateInput({"type": "date"}))

    def __init__(self, data: Any, *, names: Mapping[Who, str]) -> None:
        super().__init__(data)
        self.people = {who_key(who): who for who in names}
        people = [(who_key(who), name) for who, name in names.items()]
        self.fields["annotator"] = several(gettext_lazy("Without these annotators"), people)
        self.fields["use_case"] = several(gettext_lazy("Without these use cases"), capitalised(UseCase))

    def what_if(self) -> WhatIf:
        """Nothing is left out by what can't be read."""
        if not self.is_valid():
            return WhatIf()
        asked = self.cleaned_data
        return WhatIf(
            annotators=frozenset(self.people[key] for key in asked["annotator"]),
            use_cases=frozenset(asked["use_case"]),
            since=asked["since"],
            until=asked["until"],
        )


def several(label: Any, choices: list[tuple[Any, Any]]) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(label=label, required=False, choices=choices, widget=forms.CheckboxSelectMultiple)


def who_key(who: Who) -> str:
    return f"person-{who}" if isinstance(who, int) else f"name-{who or ''}"


class ReviewFilterForm(PageForm):
    """What the review queue shows. Read from the address."""

    kind = forms.ChoiceField(label=gettext_lazy("Kind"), required=False)
    state = forms.ChoiceField(label=gettext_lazy("State"), required=False)
    annotator = forms.ModelChoiceField(
        label=gettext_lazy("By"), required=False, queryset=User.objects.none(), empty_label=gettext_lazy("Anybody")
    )
    use_case = forms.ChoiceField(label=gettext_lazy("Use case"), required=False)
    language = forms.ChoiceField(label=gettext_lazy("Language"), required=False)
    q = forms.CharField(label=gettext_lazy("Words"), required=False, max_length=200)

    def __init__(self, data: Any, *, project: Project) -> None:
        super().__init__(data)
        every = [("", gettext_lazy("All"))]
        kinds = [WorkKind.DEMONSTRATION, WorkKind.RANKING, WorkKind.PROMPT]
        choices = {
            "kind": [(kind.value, capfirst(str(kind.label))) for kind in kinds],
            "state": every + capitalised(ReviewState),
            "use_case": every + capitalised(UseCase),
            "language": every + [(code, language_name(code)) for code in project.languages],
        }
        for name, offered in choices.items():
            cast(forms.ChoiceField, self.fields[name]).choices = offered
        people = User.objects.filter(memberships__project=project).order_by("username").distinct()
        cast("forms.ModelChoiceField[User]", self.fields["annotator"]).queryset = people
