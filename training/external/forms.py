"""The forms of external models and of requests for outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.forms.base import PageForm, several
from annotation.models import Generator, Project, UseCase, User
from annotation.models.projects import MAX_K, MIN_K
from annotation.refusals import Refused
from annotation.templatetags.plumbline import language_name
from training.external import asking, registering
from training.models import ExternalModel, OutputRequest

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[ExternalModel]
    GeneratorsField = forms.ModelMultipleChoiceField[Generator]
else:
    ModelForm, GeneratorsField = forms.ModelForm, forms.ModelMultipleChoiceField

FIELDS = ("base_url", "model", "system", "temperature", "top_p", "max_tokens", "per_minute", "sends_seed")


class ExternalModelForm(ModelForm):
    """The key that is there is never put into the form: an empty field keeps it."""

    name = forms.CharField(
        label=_("Name"), max_length=120,
        help_text=_("How researchers will know it here. People who rank never see it."),
    )  # fmt: skip
    key = forms.CharField(
        label=_("Key"), required=False, max_length=registering.LONGEST_KEY, strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "spellcheck": "false"}),
    )  # fmt: skip

    class Meta:
        model = ExternalModel
        fields: ClassVar = FIELDS
        widgets: ClassVar = {"system": forms.Textarea(attrs={"rows": 3, "dir": "auto"})}
        help_texts: ClassVar = {
            "base_url": _(
                "Where its API begins, as in https://api.example.org/v1; “/chat/completions” is put behind it."
            ),
            "model": _("As the endpoint calls it."),
            "system": _("Said before each prompt. Empty: nothing is."),
            "temperature": _("Empty: not sent, for models that refuse it."),
            "top_p": _("Empty: not sent."),
            "max_tokens": _("Empty: not sent."),
            "per_minute": _("Keep it below what the provider allows."),
        }

    def __init__(self, project: Project, data: Any = None, *, instance: ExternalModel | None = None) -> None:
        super().__init__(data, instance=instance, label_suffix="")
        self.project, self.is_new = project, instance is None
        if instance is not None:
            del self.fields["name"]
        has_key = instance is not None and instance.has_key
        self.fields["key"].help_text = (
            _("There is one. It is kept encrypted and never shown; leave this empty to keep it.")
            if has_key
            else _("It is kept encrypted and never shown again. Empty: the endpoint asks for none.")
        )
        self.order_fields(["name", "base_url", "model", "key"])

    def save_by(self, user: User) -> ExternalModel | None:
        """The model, or None where it was refused; the form then says why."""
        values = {name: self.cleaned_data[name] for name in FIELDS}
        key = self.cleaned_data["key"]
        try:
            if self.is_new:
                name = self.cleaned_data["name"]
                return registering.register(self.project, name=name, key=key, values=values, by=user)
            registering.change(self.instance, key=key, values=values, by=user)
        except Refused as refusal:
            self.add_error(None, str(refusal))
            return None
        return self.instance


class Generators(GeneratorsField):
    def label_from_instance(self, obj: Generator) -> str:
        return obj.name


class AskForm(PageForm):
    """Who answers how many prompts, and which."""

    generators = Generators(
        label=_("Who answers"), queryset=Generator.objects.none(), widget=forms.CheckboxSelectMultiple
    )
    prompts = forms.IntegerField(
        label=_("Prompts"), min_value=1, max_value=asking.MOST_PROMPTS, required=False, initial=20,
        help_text=_("Of those that have no outputs to rank yet, chosen by chance. Empty: all of them."),
    )  # fmt: skip
    k = forms.IntegerField(
        label=_("Outputs per prompt (K)"), min_value=MIN_K, max_value=MAX_K,
        help_text=_("Those who answer share them by turns."),
    )  # fmt: skip
    languages = several(_("Only these languages"), [])
    use_cases = several(_("Only these use cases"), UseCase.choices)
    seed = forms.IntegerField(label=_("Seed"), min_value=0, max_value=2**31 - 1, required=False, initial=0)

    def __init__(self, project: Project, data: Any = None) -> None:
        super().__init__(data)
        self.project = project
        choices: Any = self.fields["generators"]
        choices.queryset = asking.generators(project)
        self.fields["k"].initial = project.k
        languages: Any = self.fields["languages"]
        languages.choices = [(language, language_name(language)) for language in project.languages]

    def save_by(self, user: User) -> OutputRequest | None:
        """The request, or None where it was refused; the form then says why."""
        given = self.cleaned_data
        try:
            return asking.ask(
                self.project, by=user, generators=list(given["generators"]), prompts=given["prompts"], k=given["k"],
                filters={name: given[name] for name in asking.FILTERS}, seed=given["seed"] or 0,
            )  # fmt: skip
        except Refused as refusal:
            self.add_error(None, str(refusal))
            return None
