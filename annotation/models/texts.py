"""Instructions, answers by people, and answers by generators."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Value
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models.projects import Project

Message = dict[str, str]


class PromptKind(models.TextChoices):
    PLAIN = "plain", _("plain")
    FEW_SHOT = "few_shot", _("few-shot")
    USER_BASED = "user_based", _("user-based")


class UseCase(models.TextChoices):
    """The use cases of InstructGPT's API prompts (Ouyang et al. 2022, table 1)."""

    GENERATION = "generation", _("generation")
    OPEN_QA = "open_qa", _("open question")
    BRAINSTORMING = "brainstorming", _("brainstorming")
    CHAT = "chat", _("chat")
    REWRITE = "rewrite", _("rewriting")
    SUMMARIZATION = "summarization", _("summary")
    CLASSIFICATION = "classification", _("classification")
    OTHER = "other", _("other")
    CLOSED_QA = "closed_qa", _("question about a text")
    EXTRACT = "extract", _("extraction")


class Split(models.TextChoices):
    TRAIN = "train", _("training")
    VALIDATION = "validation", _("validation")
    TEST = "test", _("test")


class Pool(models.TextChoices):
    """Which learner a training prompt feeds, so that the reward model and PPO never share one."""

    REWARD = "reward", _("reward model")
    POLICY = "policy", _("policy")


class ReviewState(models.TextChoices):
    PENDING = "pending", _("not reviewed")
    ACCEPTED = "accepted", _("accepted")
    REJECTED = "rejected", _("rejected")


class Wording(models.Model):
    """A text that prompts of a project have, and the split and pool that every one of them shares.

    The first prompt with the text settles both; migration 0002 has the database refuse any other.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="wordings")
    digest = models.CharField(max_length=64, editable=False)
    split = models.CharField(_("split"), max_length=10, choices=Split)
    pool = models.CharField(_("feeds"), max_length=6, choices=Pool)

    class Meta:
        verbose_name = _("wording")
        verbose_name_plural = _("wordings")
        constraints: ClassVar[list[Any]] = [models.UniqueConstraint(name="wording_once", fields=["project", "digest"])]

    def __str__(self) -> str:
        return f"{self.digest[:12]} ({self.split}, {self.pool})"


class PromptQuerySet(models.QuerySet["Prompt"]):
    def usable(self) -> PromptQuerySet:
        return self.exclude(review=ReviewState.REJECTED)


class Prompt(models.Model):
    """An instruction: one text, or a chat so far that ends with the user's turn.

    The split is the author's (by hash), except that an equal text keeps the split of the first prompt that had it
    (Wording).
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="prompts"
    )
    messages = models.JSONField(_("messages"))
    kind = models.CharField(_("kind"), max_length=10, choices=PromptKind, default=PromptKind.PLAIN)
    use_case = models.CharField(_("use case"), max_length=14, choices=UseCase, default=UseCase.OTHER)
    language = models.CharField(_("language"), max_length=12, default="en")
    assignment = models.OneToOneField(
        "annotation.Assignment", on_delete=models.SET_NULL, null=True, blank=True, related_name="prompt"
    )
    digest = models.CharField(max_length=64, editable=False)
    bands = ArrayField(models.IntegerField(), default=list, blank=True, editable=False)
    split = models.CharField(_("split"), max_length=10, choices=Split)
    pool = models.CharField(_("feeds"), max_length=6, choices=Pool)
    harmful = models.BooleanField(_("possibly harmful"), default=False)
    review = models.CharField(_("review"), max_length=8, choices=ReviewState, default=ReviewState.PENDING)
    origin = models.JSONField(_("origin"), default=dict, db_default=Value({}, models.JSONField()), blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    edited_at = models.DateTimeField(null=True, blank=True)

    objects = PromptQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = _("prompt")
        verbose_name_plural = _("prompts")
        indexes: ClassVar[list[Any]] = [
            models.Index(name="prompt_digest", fields=["project", "digest"]),
            models.Index(name="prompt_split", fields=["project", "split", "pool"]),
            GinIndex(name="prompt_bands", fields=["bands"]),
        ]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def text(self) -> str:
        """What the user asks now: the last message."""
        content: str = self.messages[-1]["content"]
        return content

    @property
    def history(self) -> list[Message]:
        messages: list[Message] = self.messages
        return messages[:-1]

    def as_column(self) -> str | list[Message]:
        """The `prompt` column of a dataset."""
        return as_column(self.messages)


def as_column(messages: list[Message]) -> str | list[Message]:
    """A prompt as one column of a file: a plain text where it is nothing but one, else its messages."""
    return messages[0]["content"] if len(messages) == 1 else messages


class Demonstration(models.Model):
    """A person's answer to a prompt."""

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="demonstrations")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="demonstrations"
    )
    assignment = models.OneToOneField(
        "annotation.Assignment", on_delete=models.SET_NULL, null=True, blank=True, related_name="demonstration"
    )
    text = models.TextField(_("answer"))
    guidelines = models.ForeignKey("annotation.Guidelines", on_delete=models.PROTECT, null=True, blank=True)
    review = models.CharField(_("review"), max_length=8, choices=ReviewState, default=ReviewState.PENDING)
    origin = models.JSONField(_("origin"), default=dict, db_default=Value({}, models.JSONField()), blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    edited_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = _("demonstration")
        verbose_name_plural = _("demonstrations")

    def __str__(self) -> str:
        return self.text[:80]


class GeneratorKind(models.TextChoices):
    POLICY = "policy", _("policy")
    EXTERNAL = "external", _("external model")
    PERSON = "person", _("person")


class Generator(models.Model):
    """Whoever writes completions. Never shown to somebody who ranks. `person`: the writer, where that is a person."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="generators")
    kind = models.CharField(_("kind"), max_length=8, choices=GeneratorKind)
    name = models.CharField(_("name"), max_length=120)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = _("generator")
        verbose_name_plural = _("generators")
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(name="generator_name_once", fields=["project", "name"])
        ]

    def __str__(self) -> str:
        return self.name


class CompletionQuerySet(models.QuerySet["Completion"]):
    def held(self) -> CompletionQuerySet:
        """Those that nobody ranks, because they say who wrote them."""
        return self.exclude(giveaway="").filter(allowed_at=None)


class Completion(models.Model):
    """A generator's answer to a prompt, with what is needed to make it again.

    One that says who wrote it is held out of ranking sets until an admin allows it (annotation.giveaways).
    """

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="completions")
    generator = models.ForeignKey(Generator, on_delete=models.PROTECT, related_name="completions")
    text = models.TextField(_("text"))
    sampling = models.JSONField(_("sampling settings"), default=dict)
    seed = models.BigIntegerField(null=True, blank=True)
    giveaway = models.CharField(
        _("gives itself away"), max_length=200, blank=True, default="", help_text=_("The words that say who wrote it.")
    )
    allowed_at = models.DateTimeField(_("allowed all the same"), null=True, blank=True)
    allowed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CompletionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = _("completion")
        verbose_name_plural = _("completions")
        indexes: ClassVar[list[Any]] = [
            models.Index(
                name="completion_held", fields=["prompt"], condition=~models.Q(giveaway="") & models.Q(allowed_at=None)
            )
        ]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def is_held(self) -> bool:
        return bool(self.giveaway) and self.allowed_at is None
