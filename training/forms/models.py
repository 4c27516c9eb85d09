"""Policies that come from elsewhere, and models that go to the hub."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from annotation.models import Project, User
from annotation.refusals import Refused
from training import pushing, registry
from training.models import Policy, Push, RewardModel


class PushForm(forms.Form):
    """Where a model is to stand on the hub."""

    repository = forms.CharField(
        label=gettext_lazy("Name on the hub"), max_length=200,
        help_text=gettext_lazy("As in owner/name. It is made where it is not there yet."),
    )  # fmt: skip
    public = forms.BooleanField(label=gettext_lazy("everybody may read it"), required=False)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, label_suffix="")

    def save(self, model: Policy | RewardModel, *, user: User) -> Push | None:
        """The push, or None where it was refused; the form then says why."""
        try:
            return pushing.start(model, by=user, **self.cleaned_data)
        except Refused as refusal:
            self.add_error("repository", str(refusal))
            return None


class PolicyForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=120,
        help_text=gettext_lazy("How researchers will know it here. People who rank never see it."),
    )  # fmt: skip
    source = forms.CharField(
        label=gettext_lazy("Folder or hub name"), max_length=500, strip=True,
        help_text=gettext_lazy(
            "A folder on the server that save_pretrained wrote, or a name on the Hugging Face hub such as "
            "HuggingFaceTB/SmolLM2-135M-Instruct. Only safetensors are opened, "
 "and no code that comes with a model is run."
        ),
    )  # fmt: skip

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, label_suffix="")

    def save(self, project: Project, *, user: User) -> Policy | None:
        """The policy, or None where the registry refused it; the form then says why."""
        try:
            return registry.import_policy(project, user=user, **self.cleaned_data)
        except registry.ModelError as error:
            self.add_error("source", str(error))
            return None
