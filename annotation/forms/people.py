"""Members of a project, and people's tokens."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.forms.base import PageForm, capitalised, several
from annotation.membership import LONGEST_INVITATION, MOST_INVITED
from annotation.models import Membership, PaidPer, Project, Role, Scope, UseCase, User
from annotation.templatetags.plumbline import language_name


def languages_of(project: Project) -> forms.MultipleChoiceField:
    choices = [(code, language_name(code)) for code in project.languages]
    return several(gettext_lazy("Languages (none marked: all)"), choices)


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


class InvitationForm(PageForm):
    name = forms.CharField(
        label=gettext_lazy("For whom"),
        max_length=80,
        help_text=gettext_lazy("For your own list: a name, an agency, a course."),
    )
    max_uses = forms.IntegerField(
        label=gettext_lazy("People it lets in"), min_value=1, max_value=MOST_INVITED, initial=1
    )
    days = forms.IntegerField(
        label=gettext_lazy("Days until it expires"), min_value=1, max_value=LONGEST_INVITATION.days, initial=7
    )

    def __init__(self, project: Project, data: Any = None) -> None:
        super().__init__(data, initial={"roles": [Role.ANNOTATOR]})
        self.fields["roles"] = several(gettext_lazy("As"), capitalised(Role))
        self.fields["roles"].required = True
        self.fields["languages"] = languages_of(project)


class RoleForm(PageForm):
    role = forms.ChoiceField(label=gettext_lazy("Role"))

    def __init__(self, data: Any = None, *, held: set[str]) -> None:
        super().__init__(data)
        offered = [(role.value, capfirst(str(role.label))) for role in Role if role not in held]
        self.fields["role"] = forms.ChoiceField(label=gettext_lazy("Role"), choices=offered)


class LimitsForm(PageForm):
    """What an annotator is given: in which languages, of which use cases, and how much of it."""

    daily_cap = forms.IntegerField(
        label=gettext_lazy("Pieces a day at most"),
        required=False,
        min_value=1,
        max_value=100_000,
        help_text=gettext_lazy("Empty: as many as there are. Days are those of UTC."),
    )

    def __init__(self, member: Membership, data: Any = None) -> None:
        given = ("languages", "use_cases", "daily_cap")
        super().__init__(data, initial={name: getattr(member, name) for name in given})
        self.fields["languages"] = languages_of(member.project)
        self.fields["use_cases"] = several(gettext_lazy("Use cases (none marked: all)"), capitalised(UseCase))


class RateForm(PageForm):
    amount = forms.DecimalField(label=gettext_lazy("Rate"), min_value=0, max_digits=10, decimal_places=4)
    per = forms.ChoiceField(label=gettext_lazy("Paid"), choices=capitalised(PaidPer))
    since = forms.DateField(label=gettext_lazy("From day"), widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, initial={"since": timezone.localdate()})


class EraseForm(PageForm):
    """Typing the name keeps a slip of the hand from erasing somebody else."""

    username = forms.CharField(label=gettext_lazy("Their user name, once more"), max_length=150)

    def __init__(self, data: Any = None, *, person: User) -> None:
        super().__init__(data)
        self.person = person

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if name.strip() != self.person.get_username():
            raise forms.ValidationError(_("This is not the name of the person on this page."))
        return name


class TokenForm(PageForm):
    name = forms.CharField(label=gettext_lazy("What it is for"), max_length=80)
    days = forms.IntegerField(label=gettext_lazy("Days until it expires"), min_value=1, max_value=365, initial=90)
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("It may"), choices=Scope.choices, initial=[Scope.READ], widget=forms.CheckboxSelectMultiple
    )
