"""The shapes of requests and answers. Rules are in the verbs; here is only form."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from annotation import passes
from annotation.models import (
    ApiToken,
    AppealState,
    AssignmentState,
    Completion,
    ItemKind,
    Project,
    PromptKind,
    ReviewState,
    Role,
    Scope,
    SkipReason,
    Upload,
    UseCase,
)
from annotation.models.projects import MAX_K


class MessageSerializer(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=["system", "user", "assistant"])
    content = serializers.CharField(trim_whitespace=False)


class GuidelinesSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    text = serializers.CharField(help_text="Markdown.")


class FlagSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment] # a field's own name; what is declared here is data


class ProjectSerializer(serializers.ModelSerializer[Project]):
    flags = FlagSerializer(many=True, read_only=True)

    class Meta:
        model = Project
        fields: tuple[str, ...] = (
            "slug", "name", "description", "k", "overlap", "instructions_wanted", "demonstrations_per_prompt",
            "languages", "flags", "lease_minutes", "max_prompt_characters", "max_answer_characters", "wide_percent",
            "wide_overlap", "currency", "archived_at",
        )  # fmt: skip
        read_only_fields = fields


class ProjectDetailSerializer(ProjectSerializer):
    """With the guidelines in force and the roles of whoever asks."""

    guidelines = GuidelinesSerializer(allow_null=True, source="current_guidelines", read_only=True)
    roles = serializers.SerializerMethodField()

    class Meta(ProjectSerializer.Meta):
        fields = (*ProjectSerializer.Meta.fields, "guidelines", "roles")
        read_only_fields = fields

    def get_roles(self, project: Project) -> list[str]:
        roles: frozenset[Role] = self.context["roles"]
        return sorted(roles)


class ProgressSerializer(serializers.Serializer[Any]):
    prompts = serializers.IntegerField()
    demonstrations = serializers.IntegerField()
    completions = serializers.IntegerField()
    rankings = serializers.IntegerField()
    open = serializers.DictField(child=serializers.IntegerField(), help_text="Pieces that wait, by kind.")
    leased = serializers.IntegerField()
    active_annotators = serializers.IntegerField()


class TakeSerializer(serializers.Serializer[Any]):
    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=ItemKind.choices), required=False, help_text="None: any kind."
    )


class PromptSerializer(serializers.Serializer[Any]):
    messages = MessageSerializer(many=True)


class OutputSerializer(serializers.Serializer[Any]):
    """One output of a set to rank. Its letter says where it is shown, and nothing else."""

    id = serializers.ChoiceField(choices=list("abcdefghi"))
    text = serializers.CharField(trim_whitespace=False)


class WithdrawnSerializer(serializers.Serializer[Any]):
    """How many records are gone."""

    prompts = serializers.IntegerField()
    demonstrations = serializers.IntegerField()
    rankings = serializers.IntegerField()
    completions = serializers.IntegerField()


class AssignmentSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="pk")
    kind = serializers.ChoiceField(choices=ItemKind.choices, source="item.kind")
    state = serializers.ChoiceField(choices=AssignmentState.choices)
    prompt = PromptSerializer(allow_null=True, source="item.prompt")
    completions = OutputSerializer(many=True, help_text="In the order shown.")
    guidelines = GuidelinesSerializer(allow_null=True)
    flags = FlagSerializer(many=True, source="item.project.flags")
    languages = serializers.ListField(child=serializers.CharField(), source="item.project.languages")
    harmful = serializers.BooleanField(source="item.harmful", help_text="Show it only once the person opens it.")
    lease_expires_at = serializers.DateTimeField()
    draft = serializers.DictField()


class SubmitSerializer(serializers.Serializer[Any]):
    client_key = serializers.UUIDField(help_text="Made by the client once for this submit: sent again, it counts once.")
    take_next = serializers.BooleanField(default=False, help_text="Answer with the next piece too.")
    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=ItemKind.choices), required=False, help_text="Of the next piece."
    )
    seconds = serializers.FloatField(
        default=None, allow_null=True, min_value=0, help_text="How long the person was at it."
    )


class InstructionSerializer(SubmitSerializer):
    messages = MessageSerializer(many=True)
    kind = serializers.ChoiceField(choices=PromptKind.choices, default=PromptKind.PLAIN)
    use_case = serializers.ChoiceField(choices=UseCase.choices, default=UseCase.OTHER)
    language = serializers.CharField()


class DemonstrationSerializer(SubmitSerializer):
    text = serializers.CharField(trim_whitespace=False)


class RankingSerializer(SubmitSerializer):
    groups = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(max_length=1), max_length=MAX_K),
        max_length=MAX_K,
        help_text='The outputs\' letters, best group first; those in one group are tied: [["b"], ["a", "d"], ["c"]]',
    )
    ratings = serializers.DictField(
        child=serializers.IntegerField(), default=dict, help_text="Letter → 1 to 7, overall quality."
    )
    flags = serializers.DictField(
        child=serializers.DictField(child=serializers.CharField()),
        default=dict,
        help_text="Letter → flag → yes, no, na.",
    )
    acceptable = serializers.IntegerField(
        default=None, allow_null=True, min_value=0,
        help_text="How many groups, from the best, are acceptable; null: no line drawn.",
    )  # fmt: skip
    note = serializers.CharField(default="", allow_blank=True)


class SubmittedSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=AssignmentState.choices)
    next = AssignmentSerializer(allow_null=True, help_text="Null where none was asked for or none waits.")


class SkipSerializer(serializers.Serializer[Any]):
    reason = serializers.ChoiceField(choices=SkipReason.choices)
    take_next = serializers.BooleanField(default=False)
    kinds = serializers.ListField(child=serializers.ChoiceField(choices=ItemKind.choices), required=False)


class PutBackSerializer(serializers.Serializer[Any]):
    take_next = serializers.BooleanField(default=False)
    kinds = serializers.ListField(child=serializers.ChoiceField(choices=ItemKind.choices), required=False)


class PutBackDoneSerializer(serializers.Serializer[Any]):
    put_back = serializers.IntegerField(help_text="How many pieces you had in hand.")
    next = AssignmentSerializer(allow_null=True, help_text="Null where none was asked for or none waits.")


class ImproveSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(max_length=1, help_text="The letter of the output that you ranked best.")
    text = serializers.CharField(trim_whitespace=False)


class AppealSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(help_text="Why the rejection is wrong.")
    state = serializers.ChoiceField(choices=AppealState.choices, read_only=True)
    answer = serializers.CharField(read_only=True)


class TermsSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    text = serializers.CharField(help_text="Markdown.")
    agreed = serializers.BooleanField()


class AgreeSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField()


class TextsSerializer(serializers.Serializer[Any]):
    messages = MessageSerializer(many=True)


class PointedOutSerializer(serializers.Serializer[Any]):
    pointed_out = serializers.ListField(child=serializers.CharField())


class DraftSerializer(serializers.Serializer[Any]):
    draft = serializers.DictField()


class LeaseSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="pk")
    state = serializers.ChoiceField(choices=AssignmentState.choices)
    lease_expires_at = serializers.DateTimeField()


class HeldPieceSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="pk")
    annotator = serializers.CharField(source="annotator.username")
    kind = serializers.ChoiceField(choices=ItemKind.choices, source="item.kind")
    leased_at = serializers.DateTimeField()
    lease_expires_at = serializers.DateTimeField()


class ReleaseSerializer(serializers.Serializer[Any]):
    assignments = serializers.ListField(child=serializers.IntegerField(), default=list)
    annotator = serializers.CharField(default="", help_text="All that this person holds.")


class ReleasedSerializer(serializers.Serializer[Any]):
    released = serializers.IntegerField()


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    class Meta:
        model = ApiToken
        fields: tuple[str, ...] = ("id", "name", "scopes", "created_at", "expires_at", "last_used_at")
        read_only_fields = fields


class IssueSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80)
    days = serializers.IntegerField(min_value=1, max_value=365)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices), min_length=1, default=lambda: [Scope.READ],
        help_text="What it may be used for, of what you may do.",
    )  # fmt: skip


class IssuedSerializer(TokenSerializer):
    token = serializers.CharField(help_text="Shown this once.")

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "token")
        read_only_fields = fields


class HeldSerializer(serializers.ModelSerializer[Completion]):
    """An output that nobody ranks, and the words with which it says who wrote it."""

    model = serializers.CharField(source="generator.name")

    class Meta:
        model = Completion
        fields: tuple[str, ...] = ("id", "prompt", "text", "model", "giveaway", "allowed_at")
        read_only_fields = fields


class UploadSerializer(serializers.Serializer[Any]):
    file = serializers.FileField(help_text="JSON lines, CSV or Parquet, told by the file's name.")
    keep_good = serializers.BooleanField(
        default=False, help_text="Keep the good rows of a file that has bad ones; else none is kept."
    )
    preview = serializers.BooleanField(default=False, help_text="Look through the file, and write nothing yet.")


class ConfirmSerializer(serializers.Serializer[Any]):
    keep_good = serializers.BooleanField(default=False)


class BadRowSerializer(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    message = serializers.CharField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        line, message = instance
        return {"line": line, "message": message}


class ImportSerializer(serializers.ModelSerializer[Upload]):
    errors = BadRowSerializer(  # type: ignore[assignment] # the serializer's own name; what is declared here is data
        many=True, help_text="Why, for the first thousand."
    )
    sample = serializers.ListField(child=serializers.DictField(), help_text="The first rows as they were understood.")
    lines_read = serializers.SerializerMethodField(help_text="Of the pass that is under way.")

    class Meta:
        model = Upload
        fields: tuple[str, ...] = (
            "id", "kind", "name", "state", "good", "bad", "errors", "sample", "rows", "repeats", "failure",
            "lines_read",
        )  # fmt: skip
        read_only_fields = fields

    def get_lines_read(self, upload: Upload) -> int | None:
        sign = passes.sign(upload) if upload.is_waiting else None
        return sign.lines if sign else None


class ReviewFilterSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=ReviewState.choices, default="")
    author = serializers.CharField(default="", help_text="A user name.")
    use_case = serializers.ChoiceField(choices=UseCase.choices, default="")
    language = serializers.CharField(default="")
    words = serializers.CharField(default="", help_text="In the prompt or in the text.")


class ReviewedSerializer(serializers.Serializer[Any]):
    """A piece of work as its reviewer sees it. `text` of an answer, `groups` of texts of a ranking, the best first."""

    id = serializers.IntegerField(source="pk")
    prompt = serializers.SerializerMethodField(help_text="Its messages.")
    author = serializers.CharField(source="by.username", allow_null=True, default=None)
    text = serializers.CharField(allow_null=True, default=None)
    groups = serializers.ListField(child=serializers.ListField(child=serializers.CharField()), source="texts")
    review = serializers.ChoiceField(choices=ReviewState.choices)
    reason = serializers.CharField(source="why")
    created_at = serializers.DateTimeField()

    def get_prompt(self, piece: Any) -> list[dict[str, str]]:
        messages: list[dict[str, str]] = getattr(piece, "prompt", piece).messages
        return messages


class DecisionSerializer(serializers.Serializer[Any]):
    pieces = serializers.ListField(child=serializers.IntegerField(), allow_empty=False)
    state = serializers.ChoiceField(choices=ReviewState.choices)
    reason = serializers.CharField(default="", allow_blank=True)


class DecidedSerializer(serializers.Serializer[Any]):
    changed = serializers.IntegerField()
    batch = serializers.UUIDField(allow_null=True, help_text="By which the decision can be taken back.")


class UndoneSerializer(serializers.Serializer[Any]):
    changed = serializers.IntegerField()
