"""What two policies are asked, and what becomes of their answers."""

from __future__ import annotations

import json
import secrets
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.forms.base import PageForm, capitalised, text_field
from annotation.models import Project, UseCase
from annotation.models.texts import Message
from annotation.refusals import Refused
from annotation.templatetags.plumbline import language_name
from annotation.wording import cleaned_messages
from training.models import Policy, RewardModel
from training.playground.answering import Asked

EXAMPLES = 3
SIDES = {"first": "A", "second": "B"}
LARGEST_SEED = 2**31 - 1


class AskForm(PageForm):
    """`history` is the conversation so far, as messages: the same for both."""

    first = forms.ModelChoiceField(
        label=gettext_lazy("Policy A"), queryset=Policy.objects.none(), empty_label=None,
    )  # fmt: skip
    second = forms.ModelChoiceField(
        label=gettext_lazy("Policy B"), queryset=Policy.objects.none(), required=False,
        empty_label=gettext_lazy("none"), help_text=gettext_lazy("Answers the same beside it."),
    )  # fmt: skip
    judge = forms.ModelChoiceField(
        label=gettext_lazy("Reward model"), queryset=RewardModel.objects.none(), required=False,
        empty_label=gettext_lazy("none"),
        help_text=gettext_lazy("Scores the answers. Scores of two reward models can't be compared."),
    )  # fmt: skip
    temperature = forms.FloatField(
        label=gettext_lazy("Temperature"), min_value=0, max_value=2, initial=1.0,
        widget=forms.NumberInput({"step": "any"}),
        help_text=gettext_lazy("1: as the policy speaks by itself; 0: always the likeliest word."),
    )  # fmt: skip
    max_new_tokens = forms.IntegerField(
        label=gettext_lazy("New tokens, at most"), min_value=1, max_value=1024, initial=128
    )
    seed = forms.IntegerField(
        label=gettext_lazy("Seed"), min_value=0, max_value=LARGEST_SEED, required=False,
        help_text=gettext_lazy("The same seed gives the same answer. Empty: another one each time."),
    )  # fmt: skip
    question = text_field(gettext_lazy("What you ask"), rows=3)
    history = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, project: Project, data: Any = None, *, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial)
        self.project = project
        policies = Policy.objects.filter(project=project).select_related("run__reference", "run__base").order_by("-pk")
        judges = RewardModel.objects.filter(project=project).order_by("-pk")
        known: Any = self.fields
        known["first"].queryset = known["second"].queryset = policies
        known["first"].initial = Policy.objects.current(project) or policies.first()
        known["judge"].queryset, known["judge"].initial = judges, judges.first()
        for number in range(1, EXAMPLES + 1):
            known[f"asked_{number}"] = text_field(gettext_lazy("Asked"), rows=2, required=False)
            known[f"answered_{number}"] = text_field(gettext_lazy("Answered"), rows=2, required=False)

    def examples(self) -> list[tuple[Any, Any]]:
        """The fields of each example, for the template."""
        return [(self[f"asked_{number}"], self[f"answered_{number}"]) for number in range(1, EXAMPLES + 1)]

    def turns(self) -> list[Message]:
        """The conversation so far, as the page shows it; none where what was sent makes none."""
        try:
            found = json.loads(self["history"].value() or "[]")
            return cleaned_messages([*found, {"role": "user", "content": "?"}], longest=10**9)[:-1] if found else []
        except (ValueError, TypeError, RecursionError, Refused):
            return []

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "question" in cleaned:
            messages = [*self._example_turns(), *self.turns(), {"role": "user", "content": cleaned["question"]}]
            try:
                cleaned["messages"] = cleaned_messages(messages, longest=self.project.max_prompt_characters)
            except Refused as refusal:
                self.add_error("question", str(refusal))
        return cleaned

    def policy(self, side: str) -> Policy | None:
        policy: Policy | None = self.cleaned_data.get(side)
        return policy

    def asked(self) -> Asked:
        """With the seed that was chosen, or one of its own."""
        chosen, seed = self.cleaned_data, self.cleaned_data["seed"]
        return Asked(
            messages=chosen["messages"],
            temperature=chosen["temperature"],
            max_new_tokens=chosen["max_new_tokens"],
            seed=secrets.randbelow(LARGEST_SEED) if seed is None else seed,
        )

    @property
    def is_few_shot(self) -> bool:
        return bool(self._example_turns())

    def _example_turns(self) -> list[Message]:
        turns: list[Message] = []
        for number in range(1, EXAMPLES + 1):
            asked, answered = (self.cleaned_data.get(f"{name}_{number}") for name in ("asked", "answered"))
            if bool(asked) != bool(answered):
                self.add_error(f"asked_{number}", _("An example needs both, what was asked and what was answered."))
            elif asked and answered:
                turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        return turns


class QueueForm(PageForm):
    use_case = forms.ChoiceField(
        label=gettext_lazy("Use case"), choices=capitalised(UseCase), initial=UseCase.OTHER,
        help_text=gettext_lazy("Of the prompt, where the project does not have it yet."),
    )  # fmt: skip
    language = forms.ChoiceField(label=gettext_lazy("Language"))

    def __init__(self, project: Project, data: Any = None) -> None:
        super().__init__(data, auto_id="queue_%s")
        language: Any = self.fields["language"]
        language.choices = [(code, language_name(code)) for code in project.languages]
