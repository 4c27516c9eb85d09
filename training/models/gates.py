"""A round's gate: which outputs of the new and the current policy people judge, what they said, who decided."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models import Completion, Item, Prompt
from training.models.artifacts import Policy
from training.models.rounds import Round


class GateOutcome(models.TextChoices):
    """What the one look at all judgements said."""

    PASSED = "passed", _("passed")
    NOT_PASSED = "not_passed", _("not passed")
    TOO_FEW = "too_few", _("too few judgements")  # and nothing left to ask people about
    OVERTAKEN = "overtaken", _("overtaken")  # another policy is the current one by now


class Gate(models.Model):
    """`rival` is what the round's policy is compared with. `result` is empty until the one look at all judgements."""

    round = models.OneToOneField(Round, on_delete=models.CASCADE, related_name="gate")
    rival = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="gates_against")
    judgements = models.PositiveIntegerField(_("judgements"))
    bar = models.FloatField(_("bar"))
    outcome = models.CharField(_("outcome"), max_length=10, choices=GateOutcome, blank=True)
    result = models.JSONField(_("result"), default=dict, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("gate")
        verbose_name_plural = _("gates")

    def __str__(self) -> str:
        return f"{self.round} · gate"


class PairState(models.TextChoices):
    SPARE = "spare", _("spare")
    USED = "used", _("used")
    REPLACED = "replaced", _("replaced")  # by the next spare one, as nobody judges it


class GatePair(models.Model):
    """An output of each policy to one prompt. All are sampled before anybody judges; the first places are used first.

    `settled` is the new policy's score where nobody has to be asked.
    """

    gate = models.ForeignKey(Gate, on_delete=models.CASCADE, related_name="pairs")
    place = models.PositiveIntegerField()
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="+")
    new = models.ForeignKey(Completion, on_delete=models.CASCADE, related_name="+")
    rival = models.ForeignKey(Completion, on_delete=models.CASCADE, related_name="+")
    settled = models.FloatField(null=True, blank=True)
    item = models.OneToOneField(Item, on_delete=models.SET_NULL, null=True, blank=True, related_name="gate_pair")
    state = models.CharField(max_length=8, choices=PairState, default=PairState.SPARE)

    class Meta:
        ordering: ClassVar = ["place"]
        verbose_name = _("pair at a gate")
        verbose_name_plural = _("pairs at gates")
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(name="gate_pair_place_once", fields=["gate", "place"])
        ]

    def __str__(self) -> str:
        return f"{self.gate} · {self.place}"


class GateDecision(models.Model):
    """What a person decided about a round's policy, and why."""

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="decisions")
    publish = models.BooleanField(_("publish"))
    reason = models.TextField(_("reason"))
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["pk"]
        verbose_name = _("decision about a round")
        verbose_name_plural = _("decisions about rounds")

    def __str__(self) -> str:
        return f"{self.round} · {self.pk}"
