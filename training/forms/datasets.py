"""What a new dataset is to hold."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from annotation.forms.base import several
from annotation.models import Project, UseCase, User
from annotation.templatetags.plumbline import language_name
from training.datasets import FILTERS, DatasetError, freeze
from training.models import Dataset

CAP = gettext_lazy("Prompts of one author, at most")
CAP_HELP = gettext_lazy(
    "The first of each author count and the rest is left out, so that nobody's habits weigh too much; InstructGPT took "
    "200. Empty: all of them."
)


class FreezeForm(forms.Form):
    """What goes into a dataset: everything, where nothing is chosen."""

    prompts_per_author = forms.IntegerField(label=CAP, min_value=1, required=False, help_text=CAP_HELP)
    languages = several(gettext_lazy("Only these languages"), [])
    use_cases = several(gettext_lazy("Only these use cases"), UseCase.choices)
    without_gates = forms.BooleanField(label=gettext_lazy("Without what was judged at gates"), required=False)

    def __init__(self, project: Project, data: Any = None) -> None:
        super().__init__(data, label_suffix="")
        self.project = project
        known: Any = self.fields["languages"]
        known.choices = [(language, language_name(language)) for language in project.languages]

    def save(self, *, user: User) -> Dataset | None:
        """The dataset, or None where it was refused; the form then says why."""
        filters = {name: chosen for name in FILTERS if (chosen := self.cleaned_data[name])}
        cap = self.cleaned_data["prompts_per_author"]
        try:
            return freeze(
                self.project, user=user, filters=filters, prompts_per_author=cap,
                without_gates=self.cleaned_data["without_gates"],
            )  # fmt: skip
        except DatasetError as error:
            self.add_error(None, str(error))
            return None
