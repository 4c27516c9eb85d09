"""What freezing and training leave behind: datasets, policies and reward models. Each can say where it came from."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models import Generator, Project


class Dataset(models.Model):
    """Frozen rows. `files` maps a file's name to {"sha256", "rows", "bytes"}, `guidelines` a kind of rows to how many
    were done under each version. Nothing of it ever changes, but that a person's rows are erased from the files:
    `erasures` then names the files as they were before.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="datasets")
    files = models.JSONField(_("files"), default=dict)
    counts = models.JSONField(_("counts"), default=dict)
    left_out = models.JSONField(_("left out, and why"), default=dict)
    filters = models.JSONField(_("filters"), default=dict)
    guidelines = models.JSONField(_("versions of the guidelines"), default=dict, blank=True)
    sha256 = models.CharField(max_length=64, help_text=_("Over the files' names and hashes."))
    code_version = models.CharField(_("code version"), max_length=64)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_rows = models.PositiveIntegerField(
        _("withdrawn rows"), default=0, help_text=_("Rows in the files whose authors have taken them back since.")
    )
    withdrawn_at = models.DateTimeField(_("last withdrawal"), null=True, blank=True)
    erasures = models.JSONField(
        _("erasures"), default=list, blank=True, help_text=_("When, how many rows, and the hashes until then.")
    )

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = _("dataset")
        verbose_name_plural = _("datasets")

    def __str__(self) -> str:
        return f"{self.project} · dataset {self.pk}"

    @property
    def folder(self) -> Path:
        return Path(settings.DATA) / "datasets" / str(self.pk)

    @property
    def erased_rows(self) -> int:
        return sum(erasure["rows"] for erasure in self.erasures)

    def as_of(self, when: datetime) -> dict[str, Any]:
        """The hashes that held then, as {"sha256", "files"}, and as "rows" how many of its rows are erased since."""
        later = [each for each in self.erasures if datetime.fromisoformat(each["at"]) > when]
        files, sha256 = (later[0]["files"], later[0]["sha256"]) if later else (self.files, self.sha256)
        return {"sha256": sha256, "files": files, "rows": sum(each["rows"] for each in later)}


class Family(models.TextChoices):
    CAUSAL = "causal", _("causal")
    SEQ2SEQ = "seq2seq", _("sequence to sequence")


class Model(models.Model):
    """A Hugging Face folder in safetensors: made by a run, or imported (`source` says from where)."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="%(class)s_set")
    run = models.OneToOneField(
        "training.TrainingRun", on_delete=models.PROTECT, null=True, blank=True, related_name="%(class)s"
    )
    name = models.CharField(_("name"), max_length=120)
    family = models.CharField(_("family"), max_length=8, choices=Family, default=Family.CAUSAL)
    source = models.CharField(_("source"), max_length=500, blank=True)
    path = models.CharField(_("folder"), max_length=500, blank=True, help_text=_("Empty: `source` is a hub name."))
    figures = models.JSONField(_("figures"), default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    used_withdrawn_rows = models.PositiveIntegerField(
        _("withdrawn rows"),
        default=0,
        help_text=_("Rows that it, or a model it was made of, learnt from and whose authors have taken them back."),
    )
    used_withdrawn_at = models.DateTimeField(_("last withdrawal"), null=True, blank=True)

    class Meta:
        abstract = True
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path:
        """Relative paths lie under the data folder, so that it can be moved as a whole."""
        return Path(settings.DATA) / self.path

    @property
    def location(self) -> str:
        """What a trainer opens: the folder, or the hub name of a model that is not here."""
        return str(self.folder) if self.path else self.source


class PolicyQuerySet(models.QuerySet["Policy"]):
    def published(self) -> PolicyQuerySet:
        return self.exclude(published_at=None)

    def current(self, project: Project) -> Policy | None:
        """The one published last, whose outputs people rank."""
        return self.published().filter(project=project).order_by("-published_at", "-pk").first()

    def brought(self) -> PolicyQuerySet:
        """Those that no round made: what a round may start from."""
        return self.filter(parent=None)


class Policy(Model):
    generator = models.OneToOneField(Generator, on_delete=models.PROTECT, related_name="policy")
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    texts = models.CharField(
        _("pretraining texts"),
        max_length=500,
        blank=True,
        help_text=_("JSON lines of the kind it was pretrained on: mixed into SFT and PPO. Empty: nothing is mixed in."),
    )
    published_at = models.DateTimeField(_("published"), null=True, blank=True)

    objects = PolicyQuerySet.as_manager()

    class Meta(Model.Meta):
        verbose_name = _("policy")
        verbose_name_plural = _("policies")
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(name="policy_name_once", fields=["project", "name"])
        ]

    @property
    def texts_file(self) -> Path | None:
        return Path(settings.DATA) / self.texts if self.texts else None


class RewardModel(Model):
    parent = models.ForeignKey(Policy, on_delete=models.PROTECT, null=True, blank=True, related_name="reward_models")

    class Meta(Model.Meta):
        verbose_name = _("reward model")
        verbose_name_plural = _("reward models")
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(name="reward_model_name_once", fields=["project", "name"])
        ]
