"""One run of one stage: what it was asked to do, how far it is, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models import Project
from training.models.artifacts import Dataset, Policy, RewardModel


class Stage(models.TextChoices):
    PRETRAIN = "pretrain", _("Pretraining")
    SFT = "sft", _("Supervised fine-tuning")
    REWARD_MODEL = "reward_model", _("Reward model")
    PPO = "ppo", _("PPO")
    DPO = "dpo", _("DPO")
    SAMPLE = "sample", _("Sampling")
    BEST_OF_N = "best_of_n", _("Best of n")
    EVALUATE = "evaluate", _("Evaluation")
    SCORE = "score", _("Scoring")
    GATE = "gate", _("Sampling for the gate")


class RunState(models.TextChoices):
    QUEUED = "queued", _("waiting")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("done")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


CARRIED_OUT_BY: dict[str, str] = {Stage.GATE: Stage.SAMPLE}  # of training.algorithms, where the name is another
FINAL_STATES = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    def claim(self, run_id: int, *, worker: str, devices: Sequence[str] = ("",)) -> TrainingRun | None:
        """queued → running, on the first of the devices that no running one is on; "" is on none in particular.

        None where all are taken, where it was cancelled, or where another worker has it (a message may come twice).
        `worker` names this claim and no other: whoever holds the run later may tell by it that they no longer do.
        """
        queued, now = self.filter(id=run_id, state=RunState.QUEUED, cancel_requested=False), timezone.now()
        for device in devices:
            try:
                with transaction.atomic():
                    claimed = queued.update(
                        state=RunState.RUNNING, worker=worker, device=device, heartbeat_at=now,
                        started_at=Coalesce("started_at", now),
                    )  # fmt: skip
            except IntegrityError:  # a run is on it
                continue
            return self.get(id=run_id) if claimed == 1 else None
        return None

    def held(self, run: TrainingRun) -> TrainingRunQuerySet:
        """The run, as long as the claim it was got by still stands; else nothing."""
        return self.filter(id=run.pk, state=RunState.RUNNING, worker=run.worker)

    def waiting(self) -> TrainingRunQuerySet:
        """Those that a worker may take, the longest in the queue first."""
        return self.filter(state=RunState.QUEUED, cancel_requested=False).order_by("pk")

    def active(self) -> TrainingRunQuerySet:
        return self.exclude(state__in=FINAL_STATES)

    def abandoned(self, *, after: timedelta) -> TrainingRunQuerySet:
        """Running by their state, but nobody has said so for `after`."""
        return self.filter(state=RunState.RUNNING, heartbeat_at__lt=timezone.now() - after)

    def unmeasured(self) -> TrainingRunQuerySet:
        """Runs of an evaluation that are done and have no figures yet."""
        done = self.filter(state=RunState.SUCCEEDED, inputs__has_key="evaluation")
        return done.exclude(result__has_key="evaluation")

    def evaluations(self) -> TrainingRunQuerySet:
        """Those whose figures stand, the newest first."""
        return self.filter(result__evaluation__has_key="overall").order_by("-pk")

    def few_shot(self) -> TrainingRunQuerySet:
        """Evaluations in which people's answers stood before each prompt."""
        return self.filter(inputs__shots__gt=0)

    def zero_shot(self) -> TrainingRunQuerySet:
        """The other evaluations, those of reward models among them."""
        return self.filter(models.Q(inputs__shots=0) | ~models.Q(inputs__has_key="shots"))

    def overlooked(self, *, after: timedelta) -> TrainingRunQuerySet:
        """Queued, and the last message about it was sent longer ago than `after`."""
        return self.filter(state=RunState.QUEUED, announced_at__lt=timezone.now() - after)


class TrainingRun(models.Model):
    """State changes are conditional updates (training.runs), so that a late worker can't undo a cancel.

    Curves live in the run folder (metrics.jsonl); `latest` is the last row of it.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="runs")
    round = models.ForeignKey("training.Round", on_delete=models.PROTECT, null=True, blank=True, related_name="runs")
    stage = models.CharField(_("stage"), max_length=12, choices=Stage)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, null=True, blank=True, related_name="runs")
    base = models.ForeignKey(Policy, on_delete=models.PROTECT, null=True, blank=True, related_name="runs_from")
    reference = models.ForeignKey(Policy, on_delete=models.PROTECT, null=True, blank=True, related_name="runs_against")
    judge = models.ForeignKey(RewardModel, on_delete=models.PROTECT, null=True, blank=True, related_name="runs")
    hyperparameters = models.JSONField(_("hyperparameters"), default=dict)
    inputs = models.JSONField(
        _("further inputs"), default=dict, blank=True, help_text=_("What it reads beside the dataset: prompts, texts.")
    )
    state = models.CharField(_("state"), max_length=9, choices=RunState, default=RunState.QUEUED)
    cancel_requested = models.BooleanField(default=False)
    step = models.PositiveIntegerField(_("step"), default=0)
    total_steps = models.PositiveIntegerField(_("steps in all"), default=0)
    latest = models.JSONField(_("latest figures"), default=dict)
    result = models.JSONField(_("result"), default=dict)
    error = models.TextField(_("reason of failure"), blank=True)
    attempts = models.PositiveSmallIntegerField(_("starts that died"), default=0)
    worker = models.CharField(_("worker"), max_length=120, blank=True)
    device = models.CharField(_("device"), max_length=200, blank=True, help_text=_("Its machine and name there."))
    code_version = models.CharField(_("code version"), max_length=64, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    announced_at = models.DateTimeField(default=timezone.now)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = _("training run")
        verbose_name_plural = _("training runs")
        indexes: ClassVar[list[Any]] = [
            models.Index(name="run_unfinished", fields=["state"], condition=models.Q(state__in=["queued", "running"])),
        ]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(name="run_stage_once_per_round", fields=["round", "stage"]),
            models.UniqueConstraint(
                name="run_alone_on_its_device",
                fields=["device"],
                condition=models.Q(state="running") & ~models.Q(device=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_stage_display()} {self.pk}"

    @property
    def algorithm(self) -> str:
        """The stage of training.algorithms that carries it out."""
        return CARRIED_OUT_BY.get(self.stage, self.stage)

    @property
    def folder(self) -> Path:
        return Path(settings.DATA) / "runs" / str(self.pk)

    @property
    def output(self) -> Path:
        """Where the process keeps its metrics, result and error: the folder itself, but for an evaluation."""
        return self.folder / "figures.json.run" if self.stage == Stage.EVALUATE else self.folder

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES
