"""What a researcher chooses for an evaluation."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from annotation.forms.base import PageForm
from annotation.models import User
from training.evaluation import EvaluationRefused, policies, reward_models
from training.hyperparameters import InputError
from training.models import Dataset, Policy, RewardModel, TrainingRun


def named(dataset: Dataset) -> str:
    return gettext("Dataset %(number)s") % {"number": dataset.pk}


class EvaluatePolicyForm(PageForm):
    """As it stands: the newest dataset, judged by the reward model that the policy was trained against."""

    dataset = forms.ModelChoiceField(
        label=gettext_lazy("Held-out answers of"), queryset=Dataset.objects.none(), empty_label=None,
        help_text=gettext_lazy("Models can be compared that were measured on the same dataset."),
    )  # fmt: skip
    judge = forms.ModelChoiceField(
        label=gettext_lazy("Reward model"), queryset=RewardModel.objects.none(), required=False,
        empty_label=gettext_lazy("none"),
        help_text=gettext_lazy("Scores the outputs. It has to have the policy's vocabulary."),
    )  # fmt: skip
    prompts = forms.IntegerField(
        label=gettext_lazy("Prompts, at most"), min_value=1, max_value=10_000, initial=policies.PROMPTS
    )
    completions = forms.IntegerField(label=gettext_lazy("Outputs a prompt"), min_value=1, max_value=64, initial=1)
    shots = forms.IntegerField(
        label=gettext_lazy("Examples before each prompt"), min_value=0, max_value=64, initial=0, required=False,
        help_text=gettext_lazy("0: zero-shot. Else people's answers to training prompts, in the prompt's language "
                               "where there are enough. What does not fit the model is cut off at the beginning."),
    )  # fmt: skip
    seed = forms.IntegerField(
        label=gettext_lazy("Seed of the examples"), min_value=0, max_value=2**31 - 1, initial=0, required=False,
        help_text=gettext_lazy("Which answers they are. Compare models with the same seed."),
    )  # fmt: skip
    temperature = forms.FloatField(
        label=gettext_lazy("Temperature"), min_value=0, max_value=10, initial=1.0,
        widget=forms.NumberInput({"step": "any"}),
        help_text=gettext_lazy("1: as the policy speaks by itself; 0: always the likeliest word."),
    )  # fmt: skip

    def __init__(self, policy: Policy, data: Any = None) -> None:
        super().__init__(data)
        self.policy = policy
        known: Any = self.fields
        known["dataset"].label_from_instance = named
        known["dataset"].queryset = policy.project.datasets.order_by("-pk")
        known["judge"].queryset = RewardModel.objects.filter(project=policy.project)
        known["dataset"].initial = policy.project.datasets.order_by("-pk").first()
        known["judge"].initial = policy.run.judge if policy.run else None

    def save(self, *, user: User) -> TrainingRun | None:
        """The run that samples; None where it was refused, and the form says why."""
        try:
            chosen = {name: value for name, value in self.cleaned_data.items() if value is not None}
            return policies.start(self.policy, user=user, **chosen)
        except (EvaluationRefused, InputError) as refusal:
            self.add_error(None, str(refusal))
            return None


class EvaluateRewardModelForm(PageForm):
    """As it stands: the newest dataset."""

    dataset = forms.ModelChoiceField(
        label=gettext_lazy("Held-out rankings of"), queryset=Dataset.objects.none(), empty_label=None,
        help_text=gettext_lazy("Models can be compared that were measured on the same dataset."),
    )  # fmt: skip
    rankings = forms.IntegerField(
        label=gettext_lazy("Rankings, at most"), min_value=1, max_value=10_000, initial=reward_models.RANKINGS
    )

    def __init__(self, model: RewardModel, data: Any = None) -> None:
        super().__init__(data)
        self.model = model
        field: Any = self.fields["dataset"]
        field.label_from_instance = named
        field.queryset = model.project.datasets.order_by("-pk")
        field.initial = field.queryset.first()

    def save(self, *, user: User) -> TrainingRun | None:
        """The run that scores; None where it was refused, and the form says why."""
        try:
            return reward_models.start(self.model, user=user, **self.cleaned_data)
        except EvaluationRefused as refusal:
            self.add_error(None, str(refusal))
            return None
