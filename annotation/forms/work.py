"""What every submit of work carries, answers, and what may follow a submit."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from annotation import pointing_out
from annotation.forms.base import PageForm, limit, text_field
from annotation.models import Assignment, Demonstration, Project


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


class ImproveForm(PageForm):
    output = forms.CharField(max_length=1, widget=forms.HiddenInput)
    text = text_field(gettext_lazy("The output, as it should have been"), rows=14)


class AppealForm(PageForm):
    text = text_field(gettext_lazy("Why the rejection is wrong"), rows=7)
