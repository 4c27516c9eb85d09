"""The forms of the annotation pages: a project's limits, languages and flags in, what the verbs take out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.contrib.humanize.templatetags.humanize import intcomma
from django.db.models import TextChoices
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation import importing, pointing_out
from annotation.blinding import LETTERS, by_letter, groups_by_letter
from annotation.models import (
    Assignment,
    Demonstration,
    ItemKind,
    Project,
    Prompt,
    PromptKind,
    Ranking,
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
EXAMPLES = range(1, 9)
EXAMPLES_AT_ONCE = 3
TURNS = range(1, 5)
FLAG_ANSWERS = [("yes", gettext_lazy("Yes")), ("no", gettext_lazy("No")), ("na", gettext_lazy("Not applicable"))]
UNANSWERED = ("", gettext_lazy("Unanswered"))
RATINGS = range(1, 8)


class PageForm(forms.Form):
    """A form of ours: the label is the label, with nothing put behind it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})


class AssignmentForm(PageForm):
    """What every submit of work carries. A draft holds the page's own inputs by name, so it fills the form again.

    `record`: what was submitted, to be edited.
    """

    client_key = forms.UUIDField(widget=forms.HiddenInput)
    seconds = forms.FloatField(required=False, min_value=0, widget=forms.HiddenInput)
    pasted = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)

    def __init__(self, assignment: Assignment, data: Any = None, *, record: Any = None) -> None:
        self.assignment = assignment
        self.project: Project = assignment.item.project
        self.left = self.kept(record)
        super().__init__(data, initial=dict(self.left) if data is None else None)

    def kept(self, record: Any) -> dict[str, Any]:
        """The inputs as they were left: of the record to edit, of a submit that came too late, or of the draft."""
        if record is not None:
            return self.inputs(self.content_of(record))
        late = self.assignment.draft.get("late")
        return self.assignment.draft if late is None else self.inputs(late)

    def written(self, name: str) -> str:
        """What the field holds as it is shown: what was sent, or what was left there."""
        return str(self[name].value() or "")

    def pointed_out(self) -> list[str]:
        """What the writer should know of the text. It may be handed in all the same."""
        return []

    def content_of(self, record: Any) -> dict[str, Any]:
        """The record in the form of a draft by a verb (`collection`)."""
        raise NotImplementedError

    def inputs(self, content: dict[str, Any]) -> dict[str, Any]:
        """That form as inputs of the page."""
        raise NotImplementedError


def text_field(label: Any, *, rows: int, required: bool = True) -> forms.CharField:
    """A text of many lines in the direction of its own language. What is too long is refused by the verbs."""
    widget = forms.Textarea({"rows": rows, "dir": "auto"})
    return forms.CharField(label=label, required=required, widget=widget)


def limit(field: forms.Field, characters: int) -> None:
    """Say how much is kept at most before it is too much. The page's script counts along."""
    field.help_text = _("At most %s characters.") % intcomma(characters)
    field.widget.attrs["data-limit"] = characters


class InstructionForm(AssignmentForm):
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=capitalised(PromptKind), initial=PromptKind.PLAIN)
    use_case = forms.ChoiceField(label=gettext_lazy("Use case"), choices=capitalised(UseCase))
    language = forms.ChoiceField(label=gettext_lazy("Language of the text"))
    text = text_field(gettext_lazy("Instruction"), rows=7)
    query = text_field(gettext_lazy("The new case to answer"), rows=3, required=False)
    system = text_field(gettext_lazy("What the assistant was told beforehand"), rows=2, required=False)

    def __init__(self, assignment: Assignment, data: Any = None, *, record: Any = None) -> None:
        super().__init__(assignment, data, record=record)
        self.fields["language"].choices = [(code, language_name(code)) for code in self.project.languages]  # type: ignore[attr-defined]
        for number in EXAMPLES:
            self.fields[f"example_{number}"] = text_field(_("Example %d") % number, rows=2, required=False)
            self.fields[f"answer_{number}"] = text_field(_("Answer to example %d") % number, rows=2, required=False)
        for number in TURNS:
            self.fields[f"turn_{number}"] = text_field(_("User, turn %d") % number, rows=2, required=False)
            self.fields[f"reply_{number}"] = text_field(_("Assistant, turn %d") % number, rows=2, required=False)
        limit(self.fields["text"], self.project.max_prompt_characters)
        for name, field in self.fields.items():
            if name != "text" and isinstance(field.widget, forms.Textarea):
                field.widget.attrs["data-counts-in"] = "text"

    def pairs(self) -> list[Any]:
        return [(self[f"example_{number}"], self[f"answer_{number}"]) for number in EXAMPLES[:EXAMPLES_AT_ONCE]]

    def more_pairs(self) -> list[Any]:
        return [(self[f"example_{number}"], self[f"answer_{number}"]) for number in EXAMPLES[EXAMPLES_AT_ONCE:]]

    def turns(self) -> list[Any]:
        return [(self[f"turn_{number}"], self[f"reply_{number}"]) for number in TURNS]

    def has_more_pairs(self) -> bool:
        return any(field.value() for pair in self.more_pairs() for field in pair)

    def has_turns(self) -> bool:
        return bool(self["system"].value()) or any(field.value() for pair in self.turns() for field in pair)

    def pointed_out(self) -> list[str]:
        """Of the texts in the order in which they will be kept, complete or not."""
        if self.written("kind") == PromptKind.FEW_SHOT:
            pairs = [f"{name}_{number}" for number in EXAMPLES for name in ("example", "answer")]
            names = ["system", "text", *pairs, "query"]
        else:
            names = ["system", *(f"{name}_{number}" for number in TURNS for name in ("turn", "reply")), "text"]
        messages = [{"role": "user", "content": text} for text in map(self.written, names) if text]
        own = Prompt.objects.filter(assignment=self.assignment).values_list("pk", flat=True).first()
        return pointing_out.of_instruction(self.project, messages, besides=own)

    def content_of(self, record: Prompt) -> dict[str, Any]:
        return {name: getattr(record, name) for name in ("messages", "kind", "use_case", "language")}

    def inputs(self, content: dict[str, Any]) -> dict[str, Any]:
        messages: list[Message] = list(content["messages"])
        found = {name: content[name] for name in ("kind", "use_case", "language")}
        if messages[0]["role"] == "system":
            found["system"] = messages.pop(0)["content"]
        texts = [message["content"] for message in messages]
        last, pairs = texts[-1], list(zip(texts[::2], texts[1::2], strict=False))
        if content["kind"] != PromptKind.FEW_SHOT or not pairs:
            said = {f"turn_{number}": pair[0] for number, pair in enumerate(pairs, start=1)}
            replied = {f"reply_{number}": pair[1] for number, pair in enumerate(pairs, start=1)}
            return found | said | replied | {"text": last}
        text, _gap, first = pairs[0][0].rpartition("\n\n")
        pairs[0] = (first, pairs[0][1])
        given = {f"example_{number}": pair[0] for number, pair in enumerate(pairs, start=1)}
        answered = {f"answer_{number}": pair[1] for number, pair in enumerate(pairs, start=1)}
        return found | given | answered | {"text": text, "query": last}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        cleaned["messages"] = self.as_messages(cleaned)
        return cleaned

    def as_messages(self, cleaned: dict[str, Any]) -> list[Message]:
        """The prompt as a chat. A few-shot prompt is its examples as turns, with the instruction before the first."""
        text = cleaned.get("text", "")
        before = [{"role": "system", "content": cleaned["system"]}] if cleaned.get("system") else []
        if cleaned.get("kind") != PromptKind.FEW_SHOT:
            missing = _("A turn needs both what the user said and what the assistant answered.")
            said = self.in_pairs(cleaned, "turn", "reply", TURNS, missing)
            return [*before, *said, {"role": "user", "content": text}]
        turns = self.in_pairs(
            cleaned, "example", "answer", EXAMPLES, _("An example needs both its text and its answer.")
        )
        if not turns:
            self.add_error("example_1", _("A few-shot instruction needs at least one example with its answer."))
        if not cleaned.get("query"):
            self.add_error("query", _("Say which new case is to be answered after the examples."))
        turns.append({"role": "user", "content": cleaned.get("query", "")})
        turns[0] = {"role": "user", "content": f"{text}\n\n{turns[0]['content']}"}
        return [*before, *turns]

    def in_pairs(
        self, cleaned: dict[str, Any], asked: str, answered: str, numbers: range, missing: str
    ) -> list[Message]:
        """Turns by user and assistant, of the pairs of fields that are filled. Half a pair is an error."""
        turns: list[Message] = []
        for number in numbers:
            one, other = f"{asked}_{number}", f"{answered}_{number}"
            if bool(cleaned.get(one)) != bool(cleaned.get(other)):
                self.add_error(other if cleaned.get(one) else one, missing)
            elif cleaned.get(one):
                turns += [{"role": "user", "content": cleaned[one]}, {"role": "assistant", "content": cleaned[other]}]
        return turns


class DemonstrationForm(AssignmentForm):
    text = text_field(gettext_lazy("Your answer"), rows=14)

    def __init__(self, assignment: Assignment, data: Any = None, *, record: Any = None) -> None:
        super().__init__(assignment, data, record=record)
        limit(self.fields["text"], self.project.max_answer_characters)

    def pointed_out(self) -> list[str]:
        return pointing_out.of_text(self.written("text"))

    def content_of(self, record: Demonstration) -> dict[str, Any]:
        return {"text": record.text}

    def inputs(self, content: dict[str, Any]) -> dict[str, Any]:
        return content


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
        for key in self.shown:
            missing = {"required": _("Output %s has no rank yet.") % key.upper()}
            self.fields[f"rank_{key}"] = choice(ranks, coerce=int, error_messages=missing)
            self.fields[f"rating_{key}"] = choice(ratings, coerce=int, required=False)
            for flag in self.project.flags:
                self.fields[f"flag_{key}_{flag['key']}"] = choice([*FLAG_ANSWERS, UNANSWERED], required=False)

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


def choice(choices: list[tuple[Any, Any]], **options: Any) -> forms.TypedChoiceField:
    return forms.TypedChoiceField(choices=choices, widget=forms.RadioSelect, empty_value=None, **options)


FORMS: dict[str, type[AssignmentForm]] = {
    ItemKind.INSTRUCTION: InstructionForm,
    ItemKind.DEMONSTRATION: DemonstrationForm,
    ItemKind.RANKING: RankingForm,
}


class ImproveForm(PageForm):
    output = forms.CharField(max_length=1, widget=forms.HiddenInput)
    text = text_field(gettext_lazy("The output, as it should have been"), rows=14)


class AppealForm(PageForm):
    text = text_field(gettext_lazy("Why the rejection is wrong"), rows=7)


class AppealAnswerForm(PageForm):
    text = text_field(gettext_lazy("Answer to the annotator"), rows=2, required=False)


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
