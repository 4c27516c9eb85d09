"""What reviewers look at and answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy

from annotation.forms.base import PageForm, capitalised, several, text_field
from annotation.models import Project, ReviewState, UseCase, User, WorkKind
from annotation.quality import Who
from annotation.quality.report import WhatIf
from annotation.templatetags.plumbline import language_name


class AppealAnswerForm(PageForm):
    text = text_field(gettext_lazy("Answer to the annotator"), rows=2, required=False)


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


def who_key(who: Who) -> str:
    return f"person-{who}" if isinstance(who, int) else f"name-{who or ''}"
