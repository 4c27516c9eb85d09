"""The forms by which a project is screened, and by which a person is erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.models import Project, User

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Project]
else:
    ModelForm = forms.ModelForm


class ScreeningForm(ModelForm):
    class Meta:
        model = Project
        fields: ClassVar = ["qualification_pieces", "qualification_bar", "gold_share", "repeat_share"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})


class EraseForm(forms.Form):
    """Typing the name keeps a slip of the hand from erasing somebody else."""

    username = forms.CharField(label=gettext_lazy("Their user name, once more"), max_length=150)

    def __init__(self, data: Any, *, person: User) -> None:
        super().__init__(data, label_suffix="")
        self.person = person

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if name.strip() != self.person.get_username():
            raise forms.ValidationError(_("This is not the name of the person on this page."))
        return name
