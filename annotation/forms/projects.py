"""A project's settings and texts, for its admins. The rules are the model's; here is how they are written down."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.forms.base import PageForm, text_field
from annotation.managing import SCREENING, SETTINGS
from annotation.models import Project

if TYPE_CHECKING:
    ProjectModelForm = forms.ModelForm[Project]
else:
    ProjectModelForm = forms.ModelForm


class DescribedForm(ProjectModelForm):
    """A form with a project's description, or without it."""

    def __init__(self, data: Any = None, *, instance: Project | None = None) -> None:
        super().__init__(data, instance=instance, label_suffix="")
        if "description" in self.fields:
            self.fields["description"].widget.attrs["rows"] = 3

    def clean_description(self) -> str:
        """Browsers send line ends of their own, which would pass for a change."""
        found: str = self.cleaned_data["description"]
        return found.replace("\r\n", "\n")


class NewProjectForm(DescribedForm):
    slug = forms.SlugField(
        label=gettext_lazy("Short name"),
        max_length=60,
        required=False,
        help_text=gettext_lazy("Part of its addresses: small letters, digits and hyphens. Empty: made from the name."),
    )

    class Meta:
        model = Project
        fields: tuple[str, ...] = ("name", "slug", "description")

    def clean_slug(self) -> str:
        found: str = self.cleaned_data["slug"] or slugify(self.cleaned_data.get("name", ""))[:60]
        if not found:
            raise ValidationError(_("Give a short name in Latin letters: none can be made from the name."))
        return found


class CopyForm(NewProjectForm):
    with_members = forms.BooleanField(
        label=gettext_lazy("With its members"),
        required=False,
        help_text=gettext_lazy("With their roles, languages and daily caps; rates of pay are set anew."),
    )

    class Meta(NewProjectForm.Meta):
        fields = ("name", "slug")


class LanguagesField(forms.CharField):
    """Codes, separated by commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [code.strip() for code in (super().to_python(value) or "").split(",") if code.strip()]


class FlagsField(forms.CharField):
    """One flag a line: its key, a colon, its text. A line without a key gets one that is made of its text."""

    widget = forms.Textarea({"rows": 12, "dir": "auto", "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{flag['key']}: {flag['label']}" for flag in value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = [line.strip() for line in (super().to_python(value) or "").splitlines()]
        return [self.flag(line) for line in lines if line]

    def flag(self, line: str) -> dict[str, str]:
        key, colon, label = line.partition(":")
        if not colon:
            key, label = slugify(line).replace("-", "_")[:40], line
        if not key:
            raise ValidationError(
                _("“%(line)s” needs a short name in Latin letters before it, and a colon."), params={"line": line}
            )
        return {"key": key.strip(), "label": label.strip()}


class ChangeForm(DescribedForm):
    """The project itself is left as it is: a form that is not valid must not change what its page shows."""

    def __init__(self, project: Project, data: Any = None) -> None:
        super().__init__(data, instance=copy.copy(project))


class SettingsForm(ChangeForm):
    languages = LanguagesField(
        label=gettext_lazy("Languages"),
        help_text=gettext_lazy("Codes separated by commas, as in en, zh. The first one is offered first."),
    )
    flags = FlagsField(
        label=gettext_lazy("Flags"),
        required=False,
        help_text=gettext_lazy(
            "What annotators answer about each output. One a line, in the order shown: a short name, under which "
            "answers are kept, a colon, the text. Answers to a flag that you remove stay."
        ),
    )

    class Meta:
        model = Project
        fields = SETTINGS


class ScreeningForm(ChangeForm):
    class Meta:
        model = Project
        fields = SCREENING


class VersionForm(PageForm):
    text = text_field(gettext_lazy("Text (Markdown)"), rows=14)
