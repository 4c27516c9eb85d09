"""What a person may choose for a round, and what is wrong with what somebody chose."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from django.utils.translation import gettext as _

from training.evaluation.intervals import FEWEST
from training.hyperparameters import AUTO, PRESETS, checked
from training.models import FIRST, GATED, LAST, USUAL, RoundStage, road

CHOICES = (*FIRST, *LAST)
PLAIN, ACTIVE = "plain", "active"
PUBLISH = ("auto", "manual", GATED)
TRAINS_A_POLICY = {RoundStage.SFT, RoundStage.PPO, RoundStage.DPO}
LEAST_JUDGEMENTS, MOST_JUDGEMENTS = FEWEST, 5_000  # of fewer no interval is told, so that none would pass


class RoundRefused(Exception):
    """A round can't be started, or not be changed as asked; the message is shown to the person."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person may choose for a round. `hyperparameters` holds values by stage, over those of the preset.

    `reward_model` is one of the project's, for a round that needs one and trains none. `selection`: people get all that
    is sampled (plain), or sets that are chosen (active), `random_share` of these by lot. Where `publish` is "gate", a
    policy is published whose win rate, told by `gate_judgements`, has its lower bound above `gate_bar`.
    """

    base: int | None = None
    stages: Sequence[str] = USUAL
    reward_model: int | None = None
    preset: str = AUTO
    hyperparameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    filters: Mapping[str, list[str]] = field(default_factory=dict)
    prompts_per_author: int | None = None
    publish: str = "auto"
    gate_judgements: int = 200
    gate_bar: float = 0.5
    prompts: int = 64
    selection: str = PLAIN
    random_share: float = 0.25
    evaluation_prompts: int = 256
    seed: int = 0

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Options:
        """Checked options; RoundRefused names every problem at once."""
        known = {option.name: option.default for option in fields(cls)}
        problems = [_("There is no option {name}.").format(name=name) for name in given if name not in known]
        for name in ("prompts", "evaluation_prompts", "seed"):
            if name in given and (not isinstance(given[name], int) or isinstance(given[name], bool) or given[name] < 0):
                problems.append(
                    _("{name} is {value!r}; a whole number from 0 is expected.").format(name=name, value=given[name])
                )
        cap = given.get("prompts_per_author")
        if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
            problems.append(_("prompts_per_author is {value!r}; a whole number from 1 is expected.").format(value=cap))
        share = given.get("random_share", cls.random_share)
        if not isinstance(share, int | float) or not 0 < share <= 1:
            problems.append(
                _("random_share is {value!r}; a number above 0, at most 1, is expected.").format(value=share)
            )
        problems += stage_problems(given.get("stages", USUAL))
        if problems:
            raise RoundRefused(" ".join(problems))
        options = cls(**given)
        problems += _publication_problems(options)
        if options.selection not in (PLAIN, ACTIVE):
            problems.append(_("selection is {value!r}; plain or active is expected.").format(value=options.selection))
        if options.preset not in (AUTO, *PRESETS):
            expected = ", ".join((AUTO, *PRESETS))
            problems.append(
                _("preset is {value!r}; one of {names} is expected.").format(value=options.preset, names=expected)
            )
        if options.reward_model is not None and not needs_reward_model(options.stages):
            problems.append(_("reward_model is given, but the stages train their own or use none. Leave it out."))
        problems += [] if problems else _setting_problems(options)
        if problems:
            raise RoundRefused(" ".join(problems))
        return options


def _publication_problems(options: Options) -> list[str]:
    problems: list[str] = []
    found: object = options.gate_judgements
    bar: object = options.gate_bar
    if options.publish not in PUBLISH:
        problems.append(_("publish is {value!r}; auto, manual or gate is expected.").format(value=options.publish))
    if not isinstance(found, int) or isinstance(found, bool) or not LEAST_JUDGEMENTS <= found <= MOST_JUDGEMENTS:
        problems.append(
            _("gate_judgements is {value!r}; a whole number from {least} to {most} is expected.").format(
                value=found, least=LEAST_JUDGEMENTS, most=MOST_JUDGEMENTS
            )
        )
    if not isinstance(bar, int | float) or isinstance(bar, bool) or not 0 <= bar < 1:
        problems.append(_("gate_bar is {value!r}; a number from 0 to below 1 is expected.").format(value=bar))
    if options.publish == GATED and not TRAINS_A_POLICY & set(options.stages):
        problems.append(_("publish is gate, but no stage makes a policy that could be compared. Add sft, ppo or dpo."))
    return problems


def stage_problems(stages: object) -> list[str]:
    """What is wrong with the stages that somebody chose."""
    names = ", ".join(CHOICES)
    if not isinstance(stages, list | tuple) or not stages or set(map(str, stages)) - set(CHOICES):
        return [_("stages is {value!r}; a list of some of these is expected: {names}.").format(
            value=stages, names=names
        )]  # fmt: skip
    if len(set(stages) & set(LAST)) > 1:
        return [_("Of {names} a round takes one at most: each of them makes the policy that is published.").format(
            names=", ".join(LAST)
        )]  # fmt: skip
    return []


def needs_reward_model(stages: Collection[str]) -> bool:
    """Whether some stage needs a reward model that none before it trains."""
    return bool({RoundStage.PPO, RoundStage.BEST_OF_N} & set(stages)) and RoundStage.REWARD_MODEL not in stages


def _setting_problems(options: Options) -> list[str]:
    """What is wrong with each setting by itself; their fit together and to the data is seen when a stage starts."""
    problems = []
    with_settings = set(road(options.stages)) - {RoundStage.FREEZE, RoundStage.PUBLISH}
    for stage, values in options.hyperparameters.items():
        if stage not in with_settings:
            problems.append(_("The round has no stage {name}.").format(name=stage))
            continue
        problems += [f"{stage}: {problem}" for problem in checked(stage, values)[1]]
    return problems
