"""Members of a project, and people's tokens."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.forms.base import PageForm, capitalised
from annotation.models import Role, User


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
