"""What a run's figures mean, for somebody who sees them for the first time, and which of them become curves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.text import slugify
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation import charts
from training.models import Stage


@dataclass(frozen=True)
class Meaning:
    label: Any
    unit: Any
    explanation: Any


NATS = _("nats")
TOKENS = _("tokens")
SHARE = _("share, 0 to 1")
POINTS = _("reward, no unit")

MEANINGS: dict[str, Meaning] = {
    "loss": Meaning(_("Loss"), NATS, _("How surprised the model is by the data it learns from. It should fall.")),
    "held_out/loss": Meaning(
        _("Loss on held-out rows"),
        NATS,
        _("The same on rows it never learns from. Rising while the other falls: learnt by heart."),
    ),
    "accuracy": Meaning(
        _("Reward accuracy"),
        SHARE,
        _("How often the reward model prefers the output that people preferred. Guessing gives 0.5."),
    ),
    "held_out/accuracy": Meaning(
        _("Reward accuracy on held-out rankings"),
        SHARE,
        _("The same on rankings it never learns from: the figure to trust. Guessing gives 0.5."),
    ),
    "held_out/pairs": Meaning(
        _("Held-out pairs"), "", _("How many pairs of outputs the held-out accuracy was measured on.")
    ),
    "objective/reward": Meaning(
        _("Reward"), POINTS, _("What the reward model thinks of the policy's outputs, on average. It should rise.")
    ),
    "objective/kl": Meaning(
        _("KL to the reference"),
        _("nats a completion"),
        _(
            "How far the policy has moved from the one it started from. Some is "
            "learning; very much is a way to fool the reward model."
        ),
    ),
    "objective/kl_k3": Meaning(
        _("KL to the reference, k3"), _("nats a completion"), _("The same, by an estimate that is never below 0.")
    ),
    "objective/rlhf_reward": Meaning(
        _("Reward less the price of KL"), POINTS, _("What PPO really maximises: the reward minus kl_coef times KL.")
    ),
    "objective/judge": Meaning(
        _("Score of the judge"),
        POINTS,
        _(
            "What a reward model that is not trained on thinks of the same outputs. If it falls while the reward "
            "rises, the policy fools the reward model."
        ),
    ),
    "alarm": Meaning(
        _("Over-optimisation alarm"),
        _("0 or 1"),
        _("1: the reward rises, and the judge or the length of the outputs says that they get no better."),
    ),
    "objective/length": Meaning(
        _("Length of the outputs"),
        TOKENS,
        _("If it runs away while the reward rises, the reward model may only like long answers."),
    ),
    "objective/entropy": Meaning(
        _("Entropy"),
        _("nats a token"),
        _("How undecided the policy is at each token. Near 0 it says the same thing every time."),
    ),
    "objective/finished": Meaning(
        _("Outputs that end by themselves"), SHARE, _("The rest were cut off at the longest length allowed.")
    ),
    "policy/loss": Meaning(_("Policy loss"), _("no unit"), _("PPO's clipped objective. Only jumps mean something.")),
    "policy/clipfrac": Meaning(
        _("Clipped tokens"),
        SHARE,
        _("How often an update wanted to go further than cliprange allows. Above 0.3: learning too fast."),
    ),
    "policy/approx_kl": Meaning(_("KL of one update"), _("nats a token"), _("How far one update moved the policy.")),
    "policy/grad_norm": Meaning(
        _("Gradient norm of the policy"), _("no unit"), _("Before it is cut down to max_grad_norm.")
    ),
    "value/loss": Meaning(_("Value loss"), _("no unit"), _("How wrong the value model is about the rewards to come.")),
    "value/explained_variance": Meaning(
        _("Explained variance"),
        _("share, at most 1"),
        _("How much of the rewards the value model foresees. 1 is all, 0 is nothing."),
    ),
    "value/grad_norm": Meaning(
        _("Gradient norm of the value model"), _("no unit"), _("Before it is cut down to max_grad_norm.")
    ),
    "ptx/loss": Meaning(
        _("Pretraining loss"), NATS, _("On the texts mixed in so that the policy forgets nothing. It should not rise.")
    ),
    "kl_coef": Meaning(_("kl_coef"), _("no unit"), _("The price of KL. It moves only where kl_target is set.")),
    "lr": Meaning(_("Learning rate"), _("no unit"), _("The size of a step.")),
    "grad_norm": Meaning(_("Gradient norm"), _("no unit"), _("Before it is cut down to max_grad_norm.")),
    "tokens_per_second": Meaning(_("Speed"), _("tokens a second"), _("How fast the run goes.")),
    "tokens": Meaning(_("Tokens"), TOKENS, _("Tokens sampled so far.")),
    "rewards/chosen": Meaning(
        _("Implicit reward of the best outputs"),
        _("nats, times beta"),
        _("How much likelier the policy finds what people ranked best than the model it started from."),
    ),
    "rewards/rejected": Meaning(
        _("Implicit reward of the worst outputs"),
        _("nats, times beta"),
        _("The same of what people ranked worst. It should stay below that of the best."),
    ),
    "pair_accuracy": Meaning(
        _("Reward accuracy"),
        SHARE,
        _("How often the reward model prefers the output that people preferred. Guessing gives 0.5."),
    ),
    "kl": Meaning(
        _("KL to the reference"), _("nats a completion"), _("How far the policy has moved from its reference.")
    ),
    "kl_k3": Meaning(
        _("KL to the reference, k3"), _("nats a completion"), _("The same, by an estimate that is never below 0.")
    ),
    "mean_length": Meaning(_("Mean length"), TOKENS, _("Of the outputs, on average.")),
    "mean_reward": Meaning(_("Mean reward"), POINTS, _("What the reward model thinks of the outputs, on average.")),
    "finished": Meaning(
        _("Outputs that end by themselves"), SHARE, _("The rest were cut off at the longest length allowed.")
    ),
    "completions": Meaning(_("Completions"), "", _("How many outputs were sampled.")),
    "prompts": Meaning(_("Prompts"), "", _("How many prompts were answered.")),
    "pairs": Meaning(_("Pairs"), "", _("How many pairs of outputs were compared.")),
    "ranking_loss": Meaning(
        _("Loss on held-out rankings"), NATS, _("How surprised the reward model is by people's choices.")
    ),
    "longer_wins": Meaning(
        _("Accuracy of liking the longer output"), SHARE, _("What a judge would reach who looks at the length alone.")
    ),
    "length_correlation": Meaning(
        _("Correlation of score and length"),
        _("from −1 to 1"),
        _("Among the outputs of a prompt: how much the reward model likes the longer ones."),
    ),
    "calibration_error": Meaning(
        _("Calibration error"),
        SHARE,
        _("How far the reward model's certainty lies from how often it is right. 0 is best."),
    ),
    "annotator_agreement": Meaning(
        _("Agreement of annotators"), SHARE, _("How often two people who ranked the same outputs agree on a pair.")
    ),
    "agreement_pairs": Meaning(_("Pairs that two people ranked"), "", _("What their agreement is measured on.")),
    "rows": Meaning(_("Rows"), "", _("How many rows it learnt from.")),
    "reward_offset": Meaning(
        _("Reward offset"), POINTS, _("Taken from every score, so that demonstrations average 0.")
    ),
    "reward_scale": Meaning(
        _("Reward scale"), "", _("Factor on every score, so that it claims no more than held-out rankings bear out.")
    ),
    "win_rate": Meaning(
        _("Win rate"),
        SHARE,
        _("How often people at its gate preferred it to the policy that was current then; a tie counts half."),
    ),
    "win_rate_equal_length": Meaning(
        _("Win rate at equal length"),
        SHARE,
        _("What it would be were both outputs equally long, by a logistic regression on the difference in length."),
    ),
    "updates": Meaning(_("Updates"), "", _("How often the policy's weights were changed.")),
}

# The curves of a stage that are worth a look at once, each over one axis; what else a run logs is drawn under "more".
TOGETHER = (("loss", "held_out/loss"), ("accuracy", "held_out/accuracy"))
FIRST: dict[str, tuple[str, ...]] = {
    Stage.PRETRAIN: ("loss",),
    Stage.SFT: ("loss",),
    Stage.REWARD_MODEL: ("accuracy", "loss"),
    Stage.PPO: ("objective/reward", "objective/kl", "objective/length"),
    Stage.DPO: ("accuracy", "loss", "rewards/chosen"),
}
OF_GATES = ("win_rate", "win_rate_equal_length")
BEST_OF = re.compile(r"best_of_(\d+)/(reward|kl)")
NOT_DRAWN = {"step", "total_steps", "seconds"}


@dataclass(frozen=True)
class Curves:
    first: list[charts.Chart]
    more: list[charts.Chart]


def meaning(name: str) -> Meaning:
    """A figure that nobody has explained yet goes by its own name; one on held-out rows by that of the plain one."""
    if name in MEANINGS:
        return MEANINGS[name]
    if match := BEST_OF.fullmatch(name):
        return _best_of(*match.groups())
    plain = MEANINGS.get(name.removeprefix("held_out/"))
    return Meaning(plain.label, plain.unit, plain.explanation) if plain else Meaning(name, "", "")


def _best_of(n: str, what: str) -> Meaning:
    """What choosing the best of n outputs gives, and what it costs."""
    if what == "reward":
        told = _("What the reward model thinks of the best of so many outputs, on average.")
        return Meaning(gettext("Reward of the best of %(n)s") % {"n": n}, POINTS, told)
    told = _("How far choosing among so many moves from what the policy says plainly: log n − (n − 1) / n.")
    return Meaning(gettext("KL of the best of %(n)s") % {"n": n}, _("nats a completion"), told)


def of_run(stage: str, rows: Sequence[Mapping[str, Any]]) -> Curves:
    """The run's curves: those to look at first, and all others in the order in which they were logged."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in NOT_DRAWN]
    groups: list[tuple[str, ...]] = [group for group in TOGETHER if set(group) & set(names)]
    grouped = {name for group in groups for name in group}
    groups += [(name,) for name in names if name not in grouped]
    wanted = FIRST.get(stage, ())
    first = [group for name in wanted for group in groups if name in group]
    more = [group for group in groups if group not in first]
    return Curves(_drawn(first, rows), _drawn(more, rows))


def of_runs(stage: str, overlaid: Mapping[str, Sequence[Mapping[str, Any]]], labels: Mapping[str, str]) -> Curves:
    """Several runs' curves over one another, a chart a metric. `labels`: what each run is called, by its key."""
    wanted = FIRST.get(stage, ())
    together = [name for first in wanted for group in TOGETHER if first in group for name in group]
    names = dict.fromkeys([*wanted, *together])
    first = [name for name in names if name in overlaid]
    more = [name for name in overlaid if name not in names]
    return Curves(
        *([chart for name in each if (chart := _compared(name, overlaid[name], labels))] for each in (first, more))
    )


def _compared(name: str, rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> charts.Chart | None:
    told = meaning(name)
    chart = charts.draw(rows, labels, title=str(told.label), explanation=str(told.explanation), y_title=str(told.unit))
    return replace(chart, slug=slugify(name.replace("/", "-"))) if chart else None


def _drawn(groups: Iterable[Sequence[str]], rows: Sequence[Mapping[str, Any]]) -> list[charts.Chart]:
    drawn = []
    for group in groups:
        told = meaning(group[0])
        labels = {name: str(_("training rows") if at == 0 else _("held-out rows")) for at, name in enumerate(group)}
        if len(group) == 1:
            labels = {group[0]: str(told.label)}
        chart = charts.draw(
            rows, labels, title=str(told.label), explanation=str(told.explanation), y_title=str(told.unit)
        )
        if chart:
            drawn.append(chart)
    return drawn
