"""The form of an instruction: plain, few-shot or user-based, of one turn or several."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation import pointing_out
from annotation.forms.base import capitalised, limit, text_field
from annotation.forms.work import AssignmentForm
from annotation.models import Assignment, Prompt, PromptKind, UseCase
from annotation.models.texts import Message
from annotation.templatetags.plumbline import language_name

EXAMPLES = range(1, 9)
EXAMPLES_AT_ONCE = 3
TURNS = range(1, 5)


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
