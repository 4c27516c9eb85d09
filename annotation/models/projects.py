"""Projects, their guidelines and who may do what in them."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation.models.people import User

MIN_K, MAX_K = 2, 9
MAX_OVERLAP = 50
MAX_FLAGS = 40
DAY = 24 * 60
MILLION = 1_000_000

is_language_code = RegexValidator(
    r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", _("“%(value)s” is no language code; expected one like en or zh-hans.")
)
is_currency = RegexValidator(
    r"^[A-Z]{3}\Z", _("“%(value)s” is no currency; expected three capital letters, as in EUR.")
)
FLAG_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Role(models.TextChoices):
    ANNOTATOR = "annotator", _("annotator")
    REVIEWER = "reviewer", _("reviewer")
    RESEARCHER = "researcher", _("researcher")
    ADMIN = "admin", _("admin")


def default_languages() -> list[str]:
    return ["en"]


def default_flags() -> list[dict[str, str]]:
    """InstructGPT's metadata questions (Ouyang et al. 2022, table 3). `label` is translated where it is shown."""
    return [
        {"key": "fails_instruction", "label": "Fails to follow the instruction"},
        {"key": "inappropriate", "label": "Inappropriate for a customer assistant"},
        {"key": "hallucination", "label": "Hallucination"},
        {"key": "satisfies_constraint", "label": "Satisfies the stated constraint"},
        {"key": "sexual_content", "label": "Sexual content"},
        {"key": "violent_content", "label": "Violent content"},
        {"key": "encourages_harm", "label": "Encourages or fails to discourage harm"},
        {"key": "denigrates", "label": "Denigrates a protected class"},
        {"key": "harmful_advice", "label": "Gives harmful advice"},
        {"key": "opinion", "label": "Expresses opinion"},
        {"key": "moral_judgment", "label": "Expresses moral judgment"},
    ]


def each_once(values: list[str]) -> None:
    if doubled := sorted({value for value in values if values.count(value) > 1}):
        raise ValidationError(_("%(value)s is there twice."), params={"value": doubled[0]})


def are_flags(flags: Any) -> None:
    """Objects of a key, which the answers to the flag are kept under, and a label; each once."""
    if not isinstance(flags, list) or not all(isinstance(flag, dict) and {*flag} == {"key", "label"} for flag in flags):
        raise ValidationError(_("Flags are a list of objects of “key” and “label”."))
    if len(flags) > MAX_FLAGS:
        raise ValidationError(
            _("There are %(found)d flags; at most %(most)d are kept."), params={"found": len(flags), "most": MAX_FLAGS}
        )
    for key, label in ((flag["key"], flag["label"]) for flag in flags):
        if not isinstance(key, str) or not FLAG_KEY.fullmatch(key):
            raise ValidationError(
                _("“%(key)s” is no short name of a flag: up to 40 small letters a to z, digits and _, a letter first."),
                params={"key": key},
            )
        if not isinstance(label, str) or not 1 <= len(label.strip()) <= 120:
            raise ValidationError(_("The flag “%(key)s” needs a text of 1 to 120 characters."), params={"key": key})
    each_once([flag["key"] for flag in flags])
    each_once([flag["label"] for flag in flags])


class ProjectQuerySet(models.QuerySet["Project"]):
    def active(self) -> ProjectQuerySet:
        return self.filter(archived_at=None)

    def visible_to(self, user: User) -> ProjectQuerySet:
        """Projects the person is a member of; superusers see all."""
        if user.is_superuser:
            return self.all()
        return self.filter(memberships__user=user).distinct()


class Project(models.Model):
    name = models.CharField(_("name"), max_length=120)
    slug = models.SlugField(_("short name"), max_length=60, unique=True)
    description = models.TextField(_("description"), blank=True)
    k = models.PositiveSmallIntegerField(
        _("outputs per ranking (K)"), default=4, validators=[MinValueValidator(MIN_K), MaxValueValidator(MAX_K)]
    )
    overlap = models.PositiveSmallIntegerField(
        _("annotators per ranking"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_OVERLAP)],
        help_text=_("Of sets that are added from now on."),
    )
    wide_percent = models.PositiveSmallIntegerField(
        _("percent of sets with more annotators"),
        default=0,
        validators=[MaxValueValidator(100)],
        help_text=_("So many sets are ranked by more people, to see how far they agree."),
    )
    wide_overlap = models.PositiveSmallIntegerField(
        _("annotators of those sets"),
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_OVERLAP)],
    )
    instructions_wanted = models.PositiveIntegerField(
        _("instructions wanted"), default=0, help_text=_("Annotators are asked to write until the project has as many.")
    )
    demonstrations_per_prompt = models.PositiveSmallIntegerField(
        _("answers wanted per instruction"), default=1, validators=[MaxValueValidator(MAX_OVERLAP)]
    )
    languages = ArrayField(
        models.CharField(max_length=12, validators=[is_language_code]),
        verbose_name=_("languages"),
        default=default_languages,
        validators=[each_once],
    )
    flags = models.JSONField(_("flags"), default=default_flags, blank=True, validators=[are_flags])
    lease_minutes = models.PositiveSmallIntegerField(
        _("minutes a piece of work is held"), default=15, validators=[MinValueValidator(1), MaxValueValidator(DAY)]
    )
    max_prompt_characters = models.PositiveIntegerField(
        _("longest instruction, in characters"),
        default=8_000,
        validators=[MinValueValidator(1), MaxValueValidator(MILLION)],
    )
    max_answer_characters = models.PositiveIntegerField(
        _("longest answer, in characters"),
        default=16_000,
        validators=[MinValueValidator(1), MaxValueValidator(MILLION)],
    )
    currency = models.CharField(
        _("currency of pay"), max_length=3, default="USD", db_default="USD", validators=[is_currency]
    )
    qualification_pieces = models.PositiveSmallIntegerField(
        _("qualification sets to rank"), default=0, help_text=_("0: none is asked for.")
    )
    qualification_bar = models.PositiveSmallIntegerField(
        _("agreement that qualifies, in percent"), default=70, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    qualification_answers = models.PositiveSmallIntegerField(
        _("reviewed answers to qualify"), default=0, db_default=0, help_text=_("0: none is asked for.")
    )
    qualification_accepted = models.PositiveSmallIntegerField(
        _("accepted answers that qualify, in percent"),
        default=80,
        db_default=80,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("Of those that reviewers decided on."),
    )
    gold_share = models.PositiveSmallIntegerField(
        _("gold sets among the pieces, in percent"), default=0, validators=[MaxValueValidator(50)]
    )
    repeat_share = models.PositiveSmallIntegerField(
        _("repeated sets among the pieces, in percent"), default=0, validators=[MaxValueValidator(50)]
    )
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    frozen_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text=_("What was submitted until then is in datasets: no more edits."),
    )

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name = _("project")
        verbose_name_plural = _("projects")
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(name="project_k_between_2_and_9", condition=models.Q(k__gte=MIN_K, k__lte=MAX_K)),
            models.CheckConstraint(name="project_overlap_at_least_1", condition=models.Q(overlap__gte=1)),
            models.CheckConstraint(
                name="project_wide_sets_are_wider",
                condition=models.Q(wide_percent=0) | models.Q(wide_overlap__gt=models.F("overlap")),
                violation_error_message=_("Sets for more annotators need more of them than the other sets have."),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def asks_to_qualify(self) -> bool:
        """Whether work enters datasets only once its author has shown how they work."""
        return bool(self.qualification_pieces or self.qualification_answers)

    def current_guidelines(self) -> Guidelines | None:
        return self.guidelines.order_by("-version").first()

    def current_terms(self) -> Terms | None:
        return self.terms.order_by("-version").first()


class Versioned(models.Model):
    """A text of a project. A new text is a new row, so that records can name what was in force."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="%(class)s")
    version = models.PositiveIntegerField(_("version"))
    text = models.TextField(_("text (Markdown)"))
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering: ClassVar = ["project", "version"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(name="%(class)s_version_once", fields=["project", "version"])
        ]

    def __str__(self) -> str:
        return f"{self.project} v{self.version}"


class Guidelines(Versioned):
    """How to do the work."""

    class Meta(Versioned.Meta):
        verbose_name = verbose_name_plural = _("guidelines")


class Terms(Versioned):
    """What an annotator agrees to before the first piece. A new text asks everybody again."""

    class Meta(Versioned.Meta):
        verbose_name = verbose_name_plural = _("terms")


class Acceptance(models.Model):
    """That a person agreed to a version of a project's terms, and when."""

    terms = models.ForeignKey(Terms, on_delete=models.PROTECT, related_name="acceptances")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="acceptances")
    accepted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["accepted_at"]
        verbose_name = _("acceptance of terms")
        verbose_name_plural = _("acceptances of terms")
        constraints: ClassVar[list[Any]] = [models.UniqueConstraint(name="accepted_once", fields=["user", "terms"])]

    def __str__(self) -> str:
        return f"{self.user} · {self.terms}"


class Membership(models.Model):
    """A person's role in a project. One row a role: somebody may be both researcher and annotator."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(_("role"), max_length=12, choices=Role)
    languages = ArrayField(
        models.CharField(max_length=12),
        verbose_name=_("languages"),
        default=list,
        blank=True,
        help_text=_("Empty: every language of the project."),
    )
    use_cases = ArrayField(
        models.CharField(max_length=14),
        verbose_name=_("use cases"),
        default=list,
        blank=True,
        help_text=_("Of the instructions that an annotator answers and ranks. Empty: every use case."),
    )
    sees_harmful = models.BooleanField(
        _("sees possibly harmful content"),
        default=False,
        help_text=_("Agreed to by the annotator alone: pieces marked as possibly harmful go to nobody else."),
    )
    daily_cap = models.PositiveIntegerField(
        _("pieces a day at most"), null=True, blank=True, help_text=_("Of an annotator. Empty: as many as there are.")
    )
    # The piece that they got when the first open ones were all done, skipped or not for them (annotation.statements).
    place_priority = models.SmallIntegerField(null=True, blank=True, editable=False)
    place_item = models.BigIntegerField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["project", "user", "role"]
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(name="membership_role_once", fields=["project", "user", "role"])
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.project} · {self.role}"
