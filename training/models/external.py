"""External models, and requests to have models answer prompts: which outputs are wanted and which have come."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models import Completion, Generator, Item, Project, Prompt
from training.external.problems import Problem


class ExternalModelQuerySet(models.QuerySet["ExternalModel"]):
    def present(self) -> ExternalModelQuerySet:
        return self.filter(removed_at=None)


class ExternalModel(models.Model):
    """A model behind an OpenAI-compatible address. `sealed_key` is encrypted (training.external.secrets).

    `checked_at` empty: a first call is due that shows whether it answers. `stopped`: nothing more is asked of it until
    somebody has changed something.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="external_models")
    generator = models.OneToOneField(Generator, on_delete=models.PROTECT, related_name="external_model")
    base_url = models.CharField(_("address"), max_length=300)
    model = models.CharField(_("model"), max_length=200)
    sealed_key = models.TextField(blank=True, editable=False)
    system = models.TextField(_("system message"), blank=True, max_length=8_000)
    temperature = models.FloatField(
        _("temperature"), null=True, blank=True, default=1.0, validators=[MinValueValidator(0), MaxValueValidator(2)]
    )
    top_p = models.FloatField(
        _("top p"), null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(1)]
    )
    max_tokens = models.PositiveIntegerField(
        _("tokens of an answer, at most"), null=True, blank=True, default=512,
        validators=[MinValueValidator(1), MaxValueValidator(100_000)],
    )  # fmt: skip
    sends_seed = models.BooleanField(_("send a seed with each question"), default=True)
    per_minute = models.PositiveSmallIntegerField(
        _("calls a minute, at most"), default=30, validators=[MinValueValidator(1), MaxValueValidator(6_000)]
    )
    next_call_at = models.DateTimeField(default=timezone.now)
    checked_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=15, choices=Problem, blank=True)
    detail = models.CharField(max_length=400, blank=True)
    stopped = models.BooleanField(default=False)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    objects = ExternalModelQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = _("external model")
        verbose_name_plural = _("external models")
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                name="external_model_removed_without_its_key",
                condition=models.Q(removed_at=None) | models.Q(sealed_key=""),
            )
        ]

    def __str__(self) -> str:
        return self.generator.name

    @property
    def name(self) -> str:
        return self.generator.name

    @property
    def has_key(self) -> bool:
        return bool(self.sealed_key)

    def sampling(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}

    def settings(self) -> dict[str, Any]:
        """What every answer of it is kept with."""
        return {"endpoint": self.base_url, "model": self.model, "system": self.system, **self.sampling()}


class RequestState(models.TextChoices):
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    CANCELLED = "cancelled", _("cancelled")


class OutputRequest(models.Model):
    """So many prompts are to get K outputs each from these generators (training.external.asking)."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="output_requests")
    k = models.PositiveSmallIntegerField(_("outputs per ranking (K)"))
    seed = models.PositiveIntegerField(_("seed"), default=0)
    filters = models.JSONField(_("filters"), default=dict)
    generators = models.ManyToManyField(Generator, related_name="+")
    state = models.CharField(_("state"), max_length=9, choices=RequestState, default=RequestState.RUNNING)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = _("request for outputs")
        verbose_name_plural = _("requests for outputs")

    def __str__(self) -> str:
        return f"{self.project} · {self.pk}"


class WantedSet(models.Model):
    """The outputs of one prompt. Settled: they have all come or failed, and what came is in the queue, as `item`."""

    request = models.ForeignKey(OutputRequest, on_delete=models.CASCADE, related_name="sets")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="+")
    item = models.ForeignKey(Item, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(name="wanted_set_once_per_prompt", fields=["request", "prompt"])
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(name="wanted_set_open", fields=["request"], condition=models.Q(settled_at=None))
        ]

    def __str__(self) -> str:
        return f"{self.request_id} · {self.prompt_id}"


class OutputState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")


class WantedOutput(models.Model):
    """One output that is wanted of a generator: `number` tells several of one set apart."""

    set = models.ForeignKey(WantedSet, on_delete=models.CASCADE, related_name="outputs")
    generator = models.ForeignKey(Generator, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=7, choices=OutputState, default=OutputState.WAITING)
    completion = models.OneToOneField(Completion, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    tries = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(max_length=15, choices=Problem, blank=True)
    detail = models.CharField(max_length=400, blank=True)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(name="wanted_output_once", fields=["set", "generator", "number"])
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(name="wanted_output_waiting", fields=["generator", "id"], condition=models.Q(state="waiting"))
        ]

    def __str__(self) -> str:
        return f"{self.set_id} · {self.generator_id} · {self.number}"
