"""The researcher's forms. What comes out is what the verbs take; an empty setting means the preset's own value."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.translation import gettext, gettext_lazy

from annotation.forms.base import choice, several
from annotation.models import Project
from annotation.numbers import row_number
from training import generation
from training.algorithms.hyperparameters import STAGES
from training.forms.datasets import CAP, CAP_HELP
from training.hyperparameters import AUTO, InputError, settle
from training.models import (
    FIRST,
    GATED,
    LAST,
    USUAL,
    Policy,
    RewardModel,
    Round,
    RoundStage,
    Stage,
    road,
)
from training.options import (
    ACTIVE,
    LEAST_JUDGEMENTS,
    MOST_JUDGEMENTS,
    PLAIN,
    Options,
    needs_reward_model,
    stage_problems,
)
from training.rounds import usual_base

PRESETS = [
    (AUTO, gettext_lazy("By the model's size")),
    ("starter", gettext_lazy("For the starter model: minutes on two processor cores")),
    ("paper", gettext_lazy("InstructGPT's, scaled to the data: for a real model")),
    ("test", gettext_lazy("Seconds: only to see that everything works")),
]
SELECTION = [
    (PLAIN, gettext_lazy("all that were sampled, to the prompts ranked least so far")),
    (ACTIVE, gettext_lazy("of three times as many, those where the reward model is unsure or little of the kind is "
                          "ranked, and some by lot")),
]  # fmt: skip
PUBLISH = [
    ("auto", gettext_lazy("at once: sample outputs and put them in the ranking queue")),
    ("manual", gettext_lazy("wait until somebody has looked and presses Publish")),
    (GATED, gettext_lazy("publish it if people prefer it: blind comparisons with the current policy first (a gate)")),
]
ABOUT = {
    Stage.SFT: gettext_lazy("learns from people's answers"),
    Stage.REWARD_MODEL: gettext_lazy("learns from people's rankings which outputs they prefer"),
    Stage.PPO: gettext_lazy("practises against the reward model, kept near the model it starts from"),
    Stage.DPO: gettext_lazy("learns from people's rankings directly, without a reward model"),
    Stage.EVALUATE: gettext_lazy("measures both on what no training has seen"),
    Stage.SAMPLE: gettext_lazy("lets the new policy answer prompts for the ranking queue"),
    Stage.BEST_OF_N: gettext_lazy("samples many outputs a prompt and sends those the reward model likes best"),
}
BY_THE_ROUND = {"seed"}  # one for all stages, so not asked again for each
LOOKED_AT_FIRST = ("learning_rate", "batch_size", "epochs")
AT_THE_GATE = ("gate_judgements", "gate_bar")
NO_MORE = "none"
THEN = [
    (RoundStage.PPO, gettext_lazy("PPO: practise against the reward model")),
    (RoundStage.DPO, gettext_lazy("DPO: learn from the rankings directly, without a reward model")),
    (RoundStage.BEST_OF_N, gettext_lazy("Best of n: train no further, and of many outputs send the best to people")),
    (NO_MORE, gettext_lazy("nothing more")),
]


@dataclass(frozen=True)
class StageFields:
    """The settings of one stage: those to look at first, and the rest."""

    stage: Stage
    about: Any
    first: list[forms.BoundField]
    further: list[forms.BoundField]

    @property
    def changed(self) -> bool:
        return any(field.value() not in (None, "") or field.errors for field in (*self.first, *self.further))


class StartForm(forms.Form):
    """`counts` are the rows that a dataset would have now: some presets depend on them."""

    base = forms.ModelChoiceField(
        label=gettext_lazy("Base policy"), queryset=Policy.objects.none(), required=False, empty_label=None,
        help_text=gettext_lazy("What the first stage starts from. Starting from the same base "
 "each round keeps rounds comparable."),
    )  # fmt: skip
    stages = several(gettext_lazy("Train first"), [
        (RoundStage.SFT, gettext_lazy("Fine-tuning on people's answers")),
        (RoundStage.REWARD_MODEL, gettext_lazy("A reward model on people's rankings")),
    ])  # fmt: skip
    then = choice(THEN, label=gettext_lazy("Then"), required=False)
    reward_model = forms.ModelChoiceField(
        label=gettext_lazy("Reward model"), queryset=RewardModel.objects.none(), required=False, empty_label=None,
        help_text=gettext_lazy("For PPO and best of n where the round trains none itself."),
    )  # fmt: skip
    preset = forms.ChoiceField(label=gettext_lazy("Settings"), choices=PRESETS, initial=AUTO, required=False)
    publish = forms.ChoiceField(
        label=gettext_lazy("When the new policy is trained"), choices=PUBLISH, initial="auto", required=False,
        widget=forms.RadioSelect,
    )  # fmt: skip
    gate_judgements = forms.IntegerField(
        label=gettext_lazy("Judgements at the gate"), min_value=LEAST_JUDGEMENTS, max_value=MOST_JUDGEMENTS,
        required=False,
        help_text=gettext_lazy("With a gate: so many pairs are judged, by one person each, before anybody looks."),
    )  # fmt: skip
    gate_bar = forms.FloatField(
        label=gettext_lazy("Win rate that publishes"), min_value=0, max_value=0.99, required=False,
        widget=forms.NumberInput({"step": "any"}),
        help_text=gettext_lazy("The interval's lower end has to lie above it, also at equal length. 0.5: as good."),
    )  # fmt: skip
    prompts = forms.IntegerField(
        label=gettext_lazy("Prompts to answer for the queue"), min_value=0, max_value=100_000, required=False,
        help_text=gettext_lazy("How many prompts the new policy answers; each becomes one set of outputs to rank."),
    )  # fmt: skip
    selection = forms.ChoiceField(
        label=gettext_lazy("Sets of outputs that people get"), choices=SELECTION, initial=PLAIN, required=False,
        widget=forms.RadioSelect,
    )  # fmt: skip
    random_share = forms.FloatField(
        label=gettext_lazy("Share of the chosen sets drawn by lot"), min_value=0.01, max_value=1, required=False,
        widget=forms.NumberInput({"step": "any"}),
        help_text=gettext_lazy(
            "Only where sets are chosen. Which generator people prefer is told by these alone: hard sets say "
            "nothing of all."
        ),
    )  # fmt: skip
    evaluation_prompts = forms.IntegerField(
        label=gettext_lazy("Held-out prompts to measure on"), min_value=0, max_value=100_000, required=False
    )
    prompts_per_author = forms.IntegerField(label=CAP, min_value=1, required=False, help_text=CAP_HELP)
    seed = forms.IntegerField(
        label=gettext_lazy("Seed"), min_value=0, required=False,
        help_text=gettext_lazy("The same seed, data and settings give the same round."),
    )  # fmt: skip

    def __init__(self, project: Project, *, counts: Mapping[str, int], data: Any = None, initial: Any = None) -> None:
        super().__init__(data, initial=initial, label_suffix="")
        self.project, self.counts = project, counts
        policies = Policy.objects.filter(project=project).order_by("-id")
        self.fields["base"].queryset = policies  # type: ignore[attr-defined]
        self.fields["base"].initial = usual_base(project)
        models = RewardModel.objects.filter(project=project).order_by("-id")
        self.fields["reward_model"].queryset = models  # type: ignore[attr-defined]
        self.fields["reward_model"].initial = models.first()
        self.fields["stages"].initial, self.fields["then"].initial = list(FIRST), RoundStage.PPO
        for option in dataclasses.fields(Options):
            if option.name in ("prompts", "evaluation_prompts", "seed", "random_share", *AT_THE_GATE):
                self.fields[option.name].initial = option.default
        last = project.rounds.order_by("-number").first()
        if last and last.options.get("publish") == GATED:  # the project's own bar, until somebody changes it
            for name in ("publish", *AT_THE_GATE):
                self.fields[name].initial = last.options[name]
        self.chosen = joined(self["stages"].value(), self["then"].value())
        self.settable = [Stage(stage) for stage in road(self.chosen) if stage.value in ABOUT]
        for stage in self.settable:
            for setting in _settings(stage):
                self.fields[f"{stage}__{setting.name}"] = _field(setting)
        self._say_defaults()

    def of_stages(self) -> Iterator[StageFields]:
        """Each chosen stage's settings for the template."""
        for stage in self.settable:
            kind = STAGES[stage]
            bound = {setting.name: self[f"{stage}__{setting.name}"] for setting in _settings(stage)}
            first = [name for name in dict.fromkeys((*LOOKED_AT_FIRST, *kind.__annotations__)) if name in bound]
            further = [name for name in bound if name not in first]
            yield StageFields(stage, ABOUT[stage], [bound[name] for name in first], [bound[name] for name in further])

    def options(self) -> dict[str, Any]:
        """What `rounds.start` takes; a setting that was left empty is not in it."""
        chosen: dict[str, Any] = {"stages": list(self.chosen), "hyperparameters": {}}
        asked_elsewhere = {"stages", "then"} | (set() if needs_reward_model(self.chosen) else {"reward_model"})
        for name, value in self.cleaned_data.items():
            if value in (None, "") or name in asked_elsewhere:
                continue
            stage, _between, setting = name.partition("__")
            if setting:
                chosen["hyperparameters"].setdefault(stage, {})[setting] = value
            else:
                chosen[name] = value.pk if isinstance(value, Policy | RewardModel) else value
        return chosen

    def clean(self) -> dict[str, Any]:
        """There must be a stage, and the settings of each must also fit each other."""
        cleaned: dict[str, Any] = super().clean() or {}
        if stage_problems(self.chosen) and "then" not in self.errors:
            self.add_error("stages", gettext("Choose what the round trains: at least one stage."))
        values = self.options()["hyperparameters"]
        for stage in self.settable:
            if any(name.startswith(f"{stage}__") for name in self.errors):
                continue
            try:
                self._settled(
                    stage, preset=cleaned.get("preset") or AUTO, base=cleaned.get("base"), values=values.get(stage, {})
                )
            except InputError as error:
                self.add_error(None, f"{stage.label}: {error}")
        return cleaned

    def _say_defaults(self) -> None:
        """Name in each setting's help the value that an empty field stands for."""
        preset, base = self["preset"].value(), self.chosen_base()
        for stage in self.settable:
            try:
                settled = self._settled(stage, preset=preset, base=base, values={})
            except (InputError, KeyError, OSError):  # an unknown preset, a model that is gone: the form itself says so
                continue
            for name, value in settled.items():
                if name in BY_THE_ROUND:
                    continue
                field = self.fields[f"{stage}__{name}"]
                field.widget.attrs["placeholder"] = _shown(value)
                field.help_text = gettext("%(help)s Empty: %(value)s.") % {
                    "help": field.help_text,
                    "value": _shown(value),
                }

    def _settled(self, stage: Stage, *, preset: str, base: Policy | None, values: Mapping[str, Any]) -> dict[str, Any]:
        """All settings of a stage as a round would set them."""
        asked = generation.sampling(self.project) if stage == Stage.SAMPLE else {}
        return settle(stage, preset=preset, rows=self.counts, policy=base, values={**asked, **values})

    def chosen_base(self) -> Policy | None:
        """The policy that the first stage would start from."""
        known: Any = self.fields["base"]
        value = self["base"].value() or known.initial
        if isinstance(value, Policy):
            return value
        found: Policy | None = known.queryset.filter(pk=row_number(str(value or ""))).first()
        return found


def joined(first: Any, then: Any) -> tuple[str, ...]:
    """The stages that somebody chose; the usual ones where nothing was asked."""
    return (*(first or ()), *([] if then == NO_MORE else [str(then)])) if then else USUAL


def settings_of(round: Round) -> dict[str, Any]:
    """What the form of another round like it begins with."""
    own = {name: value for name, value in round.options.items() if name not in ("hyperparameters", "filters")}
    of_stages = {
        f"{stage}__{name}": str(value).lower() if isinstance(value, bool) else value
        for stage, values in round.options["hyperparameters"].items()
        for name, value in values.items()
    }
    stages = {
        "stages": [stage for stage in round.stages if stage in FIRST],
        "then": next((stage for stage in round.stages if stage in LAST), NO_MORE),
    }
    return own | of_stages | stages | {"base": round.base_id}


def _settings(stage: Stage) -> list[dataclasses.Field[Any]]:
    return [setting for setting in dataclasses.fields(STAGES[stage]) if setting.name not in BY_THE_ROUND]


def _field(setting: dataclasses.Field[Any]) -> forms.Field:
    """A form field for a hyperparameter, with its bounds; the keys of a mathematical setting are not translated."""
    known, default = setting.metadata, setting.default
    about: str = known["help"]
    common: dict[str, Any] = {
        "label": format_html("<code>{}</code>", setting.name),
        "required": False,
        "help_text": gettext(about),
    }
    if known["choices"] or isinstance(default, bool):
        named = [(choice, choice) for choice in known["choices"]] or [
            ("true", gettext("yes")),
            ("false", gettext("no")),
        ]
        return forms.ChoiceField(choices=[("", gettext("as the preset has it")), *named], **common)
    if isinstance(default, str):
        return forms.CharField(**common)
    if isinstance(default, int):
        return forms.IntegerField(min_value=known["low"], max_value=known["high"], **common)
    return forms.FloatField(
        min_value=known["low"], max_value=known["high"], widget=forms.NumberInput({"step": "any"}), **common
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    return f"{value:g}" if isinstance(value, float) else str(value)
