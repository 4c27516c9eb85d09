"""Files in, and what the kinds of data are called."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy

from annotation import importing
from annotation.forms.base import PageForm

KIND_LABELS = {
    "instructions": gettext_lazy("Instructions"),
    "demonstrations": gettext_lazy("Demonstrations"),
    "completions": gettext_lazy("Outputs"),
    "rankings": gettext_lazy("Rankings"),
    "comparisons": gettext_lazy("Comparisons"),
}


class ImportForm(PageForm):
    kind = forms.ChoiceField(
        label=gettext_lazy("What the file holds"), choices=[(kind, KIND_LABELS[kind]) for kind in importing.KINDS]
    )
    file = forms.FileField(label=gettext_lazy("File"), help_text=gettext_lazy("JSON lines, CSV or Parquet."))
