"""A round: dataset → SFT → reward model → PPO → evaluation → publication → generation, or another road."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models import Project
from training.models.artifacts import Dataset, Policy, RewardModel


class RoundState(models.TextChoices):
    RUNNING = "running", _("running")
    GATE = "gate", _("at the gate")  # people judge its policy; no worker is busy with it
    PUBLISHED = "published", _("published")
    FINISHED = "finished", _("finished")  # it made no policy to publish
    REJECTED = "rejected", _("not published")  # by its gate, or by a person
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


class RoundStage(models.TextChoices):
    """In the order in which they come. Those that share a name with a run's stage are done by one run."""

    FREEZE = "freeze", _("Freezing the data")
    SFT = "sft", _("Supervised fine-tuning")
    REWARD_MODEL = "reward_model", _("Reward model")
    PPO = "ppo", _("PPO")
    DPO = "dpo", _("DPO")
    EVALUATE = "evaluate", _("Evaluation")
    GATE = "gate", _("Gate")
    PUBLISH = "publish", _("Publication")
    SAMPLE = "sample", _("Sampling for the queue")
    BEST_OF_N = "best_of_n", _("Best of n for the queue")


FIRST = (RoundStage.SFT, RoundStage.REWARD_MODEL)
LAST = (RoundStage.PPO, RoundStage.DPO, RoundStage.BEST_OF_N)  # a round takes one of these at most
USUAL = (*FIRST, RoundStage.PPO)
GATED = "gate"  # the choice that a round's policy is published when people prefer it


def road(chosen: Collection[str], *, gate: bool = False) -> tuple[RoundStage, ...]:
    """All stages of a round in which those `chosen` of FIRST and LAST are done; without a policy none is published."""
    around = {RoundStage.FREEZE, RoundStage.EVALUATE} | ({RoundStage.GATE} if gate else set())
    if set(chosen) - {RoundStage.REWARD_MODEL}:
        around |= {RoundStage.PUBLISH}
        around |= set() if RoundStage.BEST_OF_N in chosen else {RoundStage.SAMPLE}
    return tuple(stage for stage in RoundStage if stage in around or stage in chosen)


class Round(models.Model):
    """`base` is what the first stage starts from. `seconds` holds the wall time of each stage, and as "overhead" what
    was neither training nor generation. From `gated_at` on it keeps no other round of the project from running.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="rounds")
    number = models.PositiveIntegerField(_("number"))
    base = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="rounds_from")
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, null=True, blank=True, related_name="rounds")
    options = models.JSONField(_("settings"), default=dict)
    state = models.CharField(_("state"), max_length=9, choices=RoundState, default=RoundState.RUNNING)
    stage = models.CharField(_("stage"), max_length=12, choices=RoundStage, default=RoundStage.FREEZE)
    stage_since = models.DateTimeField(default=timezone.now)
    error = models.TextField(_("reason of failure"), blank=True)
    policy = models.OneToOneField(Policy, on_delete=models.PROTECT, null=True, blank=True, related_name="made_by_round")
    reward_model = models.OneToOneField(
        RewardModel, on_delete=models.PROTECT, null=True, blank=True, related_name="made_by_round"
    )
    gated_at = models.DateTimeField(null=True, blank=True)
    figures = models.JSONField(_("figures"), default=dict)
    seconds = models.JSONField(_("seconds"), default=dict)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True, blank=True)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["project", "-number"]
        verbose_name = _("round")
        verbose_name_plural = _("rounds")
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(name="round_number_once", fields=["project", "number"]),
            models.UniqueConstraint(
                name="round_running_once_per_project",
                fields=["project"],
                condition=models.Q(state="running", gated_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project} · {self.number}"

    @property
    def stages(self) -> tuple[RoundStage, ...]:
        return road(self.options.get("stages", USUAL), gate=self.options.get("publish") == GATED)

    def after(self, stage: str) -> RoundStage | None:
        """The stage after that one; None after the last."""
        following = self.stages[self.stages.index(RoundStage(stage)) + 1 :]
        return following[0] if following else None

    @property
    def speaker(self) -> Policy | None:
        """The policy whose outputs people get: the round's own, or the base where it only chooses the best outputs."""
        return (self.policy or self.base) if RoundStage.PUBLISH in self.stages else None
