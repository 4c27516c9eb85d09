"""What every form of ours starts from, and the fields that several of them have."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.humanize.templatetags.humanize import intcomma
from django.db.models import TextChoices
from django.utils.text import capfirst
from django.utils.translation import gettext as _


class PageForm(forms.Form):
    """A form of ours: the label is the label, with nothing put behind it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})


def capitalised(choices: type[TextChoices]) -> list[tuple[str, Any]]:
    """The choices as they stand at the head of a line; the labels are translated when they are shown."""
    return [(value, capfirst(label)) for value, label in choices.choices]


def text_field(label: Any, *, rows: int, required: bool = True) -> forms.CharField:
    """A text of many lines in the direction of its own language. What is too long is refused by the verbs."""
    widget = forms.Textarea({"rows": rows, "dir": "auto"})
    return forms.CharField(label=label, required=required, widget=widget)


def limit(field: forms.Field, characters: int) -> None:
    """Say how much is kept at most before it is too much. The page's script counts along."""
    field.help_text = _("At most %s characters.") % intcomma(characters)
    field.widget.attrs["data-limit"] = characters


def choice(choices: list[tuple[Any, Any]], **options: Any) -> forms.TypedChoiceField:
    return forms.TypedChoiceField(choices=choices, widget=forms.RadioSelect, empty_value=None, **options)


def several(label: Any, choices: list[tuple[Any, Any]]) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(label=label, required=False, choices=choices, widget=forms.CheckboxSelectMultiple)
