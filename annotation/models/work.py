"""Pieces of work, who holds them, and the rankings that come of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Cast, Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models.projects import Project
from annotation.models.texts import Prompt, ReviewState

HAS_PROMPT = Q(prompt__isnull=False) | Q(open_slots=[])  # one whose prompt was withdrawn is open to nobody
UNSEALED = Q(assignment=None) | Q(assignment__item__sealed=False)  # rankings that figures and datasets may tell of


class ItemKind(models.TextChoices):
    INSTRUCTION = "instruction", _("write an instruction")
    DEMONSTRATION = "demonstration", _("write an answer")
    RANKING = "ranking", _("rank outputs")


class Purpose(models.TextChoices):
    """What a ranking set with a researcher's answer is for. It stands outside the numbered slots: everybody gets it."""

    NONE = "", _("collecting")
    QUALIFICATION = "qualification", _("qualification")
    GOLD = "gold", _("gold")


class ChosenBy(models.TextChoices):
    """Why a ranking set is in the queue and not another. Those chosen for being hard or rare tell nothing of all."""

    NOBODY = "", _("as it came")
    LOT = "lot", _("by lot")
    UNCERTAINTY = "uncertainty", _("the reward model is unsure")
    COVERAGE = "coverage", _("little of its kind is ranked")


class Item(models.Model):
    """A piece of work that waits for people: `overlap` of them, each once.

    `open_slots` are the numbers, from 1 to the overlap, that nobody holds. They change only in the statements that
    lease and release (annotation.assignment), under the item's row lock. An instruction piece is made for the one
    person who asks for it, so it never has any.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="items")
    kind = models.CharField(_("kind"), max_length=13, choices=ItemKind)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, null=True, blank=True, related_name="items")
    completions = ArrayField(models.BigIntegerField(), verbose_name=_("completions"), default=list, blank=True)
    twins = models.JSONField(
        _("twins"),
        default=dict,
        db_default=Value({}, models.JSONField()),
        blank=True,
        help_text=_("Completion id → the one shown in its place, whose text is the same."),
    )
    held = models.JSONField(
        _("held out"),
        default=list,
        db_default=Value([], models.JSONField()),
        blank=True,
        help_text=_("Ids of completions that would belong here but say who wrote them."),
    )
    harmful = models.BooleanField(_("possibly harmful"), default=False, db_default=False)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("Never gets this piece: nobody judges their own work."),
    )
    language = models.CharField(_("language"), max_length=12, default="en")
    priority = models.SmallIntegerField(_("priority"), default=0)
    overlap = models.PositiveSmallIntegerField(_("annotators"), default=1)
    purpose = models.CharField(_("purpose"), max_length=13, choices=Purpose, blank=True, default="", db_default="")
    chosen_by = models.CharField(_("chosen by"), max_length=11, choices=ChosenBy, blank=True, default="", db_default="")
    keyed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("Whose ranking is the answer that others are measured by."),
    )
    open_slots = ArrayField(models.PositiveSmallIntegerField(), verbose_name=_("open slots"), default=list, blank=True)
    sealed = models.BooleanField(
        _("sealed"),
        default=False,
        db_default=False,
        help_text=_("One of a series of judgements that nobody looks into before all are in."),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = _("item")
        verbose_name_plural = _("items")
        indexes: ClassVar[list[Any]] = [
            models.Index(
                F("project"),
                F("kind"),
                F("language"),
                F("harmful"),
                Cast("priority", models.IntegerField()) * -1,
                F("id"),
                name="item_open",
                condition=~Q(open_slots=[]),
            ),
            models.Index(name="item_aside", fields=["project", "purpose", "id"], condition=~Q(purpose="")),
        ]
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(name="item_overlap_at_least_1", condition=Q(overlap__gte=1)),
            models.CheckConstraint(
                name="item_with_a_purpose_has_no_slots", condition=Q(purpose="") | Q(kind="ranking", open_slots=[])
            ),
            models.CheckConstraint(
                name="item_has_what_its_kind_needs",
                condition=Q(kind="instruction", prompt=None, completions=[])
                | Q(kind="demonstration", completions=[]) & HAS_PROMPT
                | Q(kind="ranking", completions__len__gte=2, completions__len__lte=9) & HAS_PROMPT,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def asked(self) -> Prompt:
        """The prompt, of a piece that has one: every kind but an instruction."""
        if self.prompt is None:
            raise ValueError(f"{self} has no prompt.")
        return self.prompt


class AssignmentState(models.TextChoices):
    LEASED = "leased", _("in work")
    SUBMITTED = "submitted", _("done")
    SKIPPED = "skipped", _("skipped")
    EXPIRED = "expired", _("ran out")
    WITHDRAWN = "withdrawn", _("taken back")


class SkipReason(models.TextChoices):
    NOT_MY_FIELD = "not_my_field", _("Not my field")
    UNANSWERABLE = "unanswerable", _("Cannot be answered")
    UNSAFE = "unsafe", _("Unsafe")
    BROKEN = "broken", _("Broken")
    OTHER = "other", _("Other")


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    def whole(self) -> AssignmentQuerySet:
        """With all that a page of work shows but the outputs."""
        return self.select_related("item__project", "item__prompt", "guidelines")

    def held(self) -> AssignmentQuerySet:
        """Those that somebody has in work, person by person, with what a list of them shows."""
        in_work = self.filter(state=AssignmentState.LEASED).select_related("annotator", "item__prompt")
        return in_work.order_by("annotator__username", "leased_at")

    def live(self) -> AssignmentQuerySet:
        """Those that occupy a slot of their item."""
        return self.filter(state__in=[AssignmentState.LEASED, AssignmentState.SUBMITTED])

    def expired(self) -> AssignmentQuerySet:
        return self.filter(state=AssignmentState.LEASED, lease_expires_at__lte=timezone.now())


class Assignment(models.Model):
    """One piece of work leased to one annotator. `shown` is the order in which the completions were displayed.

    Those outside the overlap have no slot: of sets with a purpose, and repeats, in which somebody gets a set that they
    ranked already once more in another order.
    """

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="assignments")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="assignments", db_index=False
    )
    slot = models.PositiveSmallIntegerField(null=True, blank=True)
    repeat = models.PositiveSmallIntegerField(default=0, db_default=0)
    state = models.CharField(
        _("state"),
        max_length=9,
        choices=AssignmentState,
        default=AssignmentState.LEASED,
        db_default=AssignmentState.LEASED.value,
    )
    shown = ArrayField(models.BigIntegerField(), default=list, blank=True)
    draft = models.JSONField(default=dict, db_default=Value({}, models.JSONField()), blank=True)
    guidelines = models.ForeignKey("annotation.Guidelines", on_delete=models.PROTECT, null=True, blank=True)
    skip_reason = models.CharField(_("reason"), max_length=12, choices=SkipReason, blank=True, db_default="")
    client_key = models.UUIDField(
        null=True, blank=True, help_text=_("Sent with a submit, so that sending it twice counts once.")
    )
    leased_at = models.DateTimeField(default=timezone.now, db_default=Now())
    lease_expires_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    terms = models.ForeignKey("annotation.Terms", on_delete=models.PROTECT, null=True, blank=True)
    seconds = models.FloatField(
        _("seconds spent"), null=True, blank=True, help_text=_("While its page was open and in use.")
    )
    pasted = models.FloatField(
        _("share pasted"), null=True, blank=True, help_text=_("Of the text written, from 0 to 1; empty: not counted.")
    )

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = _("assignment")
        verbose_name_plural = _("assignments")
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                name="assignment_slot_held_once",
                fields=["item", "slot"],
                condition=Q(state__in=["leased", "submitted"]),
            ),
            models.UniqueConstraint(name="assignment_once_per_annotator", fields=["annotator", "item", "repeat"]),
            models.UniqueConstraint(name="assignment_client_key_once", fields=["client_key", "annotator"]),
            models.CheckConstraint(name="assignment_slot_from_1", condition=Q(slot__gte=1)),
            models.CheckConstraint(name="assignment_repeat_has_no_slot", condition=Q(repeat=0) | Q(slot=None)),
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(name="assignment_lease", fields=["lease_expires_at"], condition=Q(state="leased")),
            models.Index(name="assignment_held", fields=["annotator"], condition=Q(state="leased")),
            models.Index(name="assignment_done", fields=["annotator", "finished_at"], condition=Q(state="submitted")),
            models.Index(name="assignment_finished", fields=["finished_at"], condition=Q(state="submitted")),
        ]

    def __str__(self) -> str:
        return f"{self.item} → {self.annotator}"


class Ranking(models.Model):
    """One annotator's ordering of the completions they were shown: groups from best to worst, ties share a group.

    The database refuses groups that are not exactly the completions shown, and an order shown that is not the
    assignment's (migration 0002). Comparisons are always derived, never stored.
    """

    assignment = models.OneToOneField(
        Assignment, on_delete=models.PROTECT, null=True, blank=True, related_name="ranking"
    )
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="rankings")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="rankings"
    )
    groups = models.JSONField(_("groups"), help_text=_("Lists of completion ids, best group first."))
    shown = ArrayField(models.BigIntegerField(), verbose_name=_("order shown"))
    ratings = models.JSONField(_("ratings"), default=dict, blank=True, help_text=_("Completion id → 1 to 7."))
    flags = models.JSONField(_("flags"), default=dict, blank=True, help_text=_("Completion id → flag → yes/no/na."))
    acceptable = models.PositiveSmallIntegerField(
        _("acceptable groups"),
        null=True,
        blank=True,
        help_text=_("How many groups, from the best, are above the line of what is acceptable. Empty: no line."),
    )
    twins = models.JSONField(
        _("twins"), default=dict, blank=True, help_text=_("Completion id → the shown one whose text and rank it has.")
    )
    note = models.TextField(_("note"), blank=True)
    guidelines = models.ForeignKey("annotation.Guidelines", on_delete=models.PROTECT, null=True, blank=True)
    seconds = models.FloatField(_("seconds taken"), null=True, blank=True)
    review = models.CharField(_("review"), max_length=8, choices=ReviewState, default=ReviewState.PENDING)
    origin = models.JSONField(
        _("origin"),
        default=dict,
        blank=True,
        help_text=_("What the file said of an imported ranking: annotator, guidelines."),
    )
    created_at = models.DateTimeField(default=timezone.now)
    edited_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = _("ranking")
        verbose_name_plural = _("rankings")
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                name="ranking_line_within_its_groups",
                condition=Q(acceptable=None)
                | Q(acceptable__lte=Func("groups", function="jsonb_array_length", output_field=models.IntegerField())),
            )
        ]

    def __str__(self) -> str:
        return f"{self.prompt} · {self.annotator}"

    def ranks(self) -> dict[int, int]:
        """Completion id → rank from 1, of those shown; tied completions share one."""
        return ranks_of(self.groups)

    def ranks_with_twins(self) -> dict[int, int]:
        """The same with the completions whose text somebody else's output had: each takes its twin's rank."""
        return ranks_of(self.groups, self.twins)


def ranks_of(groups: Sequence[Sequence[int]], twins: Mapping[str, int] | None = None) -> dict[int, int]:
    """Completion → rank from 1 by groups, best first; a completion that was not shown has the rank of its twin."""
    ranks = {completion: rank for rank, group in enumerate(groups, start=1) for completion in group}
    return ranks | {int(twin): ranks[shown] for twin, shown in twins.items()} if twins else ranks


class AppealState(models.TextChoices):
    OPEN = "open", _("waits for a reviewer")
    GRANTED = "granted", _("granted")
    DISMISSED = "dismissed", _("dismissed")


class Appeal(models.Model):
    """An annotator's objection to the rejection of their work, and what a reviewer answered. Once a piece."""

    assignment = models.OneToOneField(Assignment, on_delete=models.CASCADE, related_name="appeal")
    text = models.TextField(_("why the rejection is wrong"))
    state = models.CharField(_("state"), max_length=9, choices=AppealState, default=AppealState.OPEN)
    answer = models.TextField(_("answer"), blank=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["created_at"]
        verbose_name = _("appeal")
        verbose_name_plural = _("appeals")

    def __str__(self) -> str:
        return f"{self.assignment}: {self.state}"
