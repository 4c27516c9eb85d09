"""External models and requests for outputs as scripts see them."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from training.external.asking import MOST_PROMPTS, progress
from training.external.problems import Problem
from training.external.registering import LONGEST_KEY
from training.models import ExternalModel, OutputRequest


class ExternalModelSerializer(serializers.ModelSerializer[ExternalModel]):
    """`key` is taken and never given back."""

    name = serializers.CharField(read_only=True)
    key = serializers.CharField(
        write_only=True, required=False, allow_blank=True, max_length=LONGEST_KEY, trim_whitespace=True,
        help_text="Kept encrypted. Where it is left out, the one that is there stays.",
    )  # fmt: skip
    problem = serializers.ChoiceField([("", ""), *Problem.choices], read_only=True, help_text="Empty: none.")

    class Meta:
        model = ExternalModel
        fields: ClassVar = [
            "id", "name", "generator", "base_url", "model", "key", "has_key", "system", "temperature", "top_p",
            "max_tokens", "sends_seed", "per_minute", "checked_at", "problem", "detail", "stopped", "created_at",
            "removed_at",
        ]  # fmt: skip
        read_only_fields: ClassVar = [
            "id", "generator", "has_key", "checked_at", "problem", "detail", "stopped", "created_at", "removed_at",
        ]  # fmt: skip


class NewExternalModelSerializer(ExternalModelSerializer):
    name = serializers.CharField(max_length=120)


class AskSerializer(serializers.Serializer[Any]):
    """Who answers how many prompts, and which."""

    generators = serializers.ListField(
        child=serializers.IntegerField(min_value=1), min_length=1, max_length=9,
        help_text="Numbers of generators: `generator` of external models and of policies.",
    )  # fmt: skip
    prompts = serializers.IntegerField(
        required=False, min_value=1, max_value=MOST_PROMPTS, help_text="Left out: all that have no outputs to rank."
    )
    k = serializers.IntegerField(required=False, min_value=2, max_value=9, help_text="The project's where left out.")
    languages = serializers.ListField(child=serializers.CharField(), required=False)
    use_cases = serializers.ListField(child=serializers.CharField(), required=False)
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)


class GeneratorProgressSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    waiting = serializers.IntegerField()
    done = serializers.IntegerField()
    failed = serializers.IntegerField()


class OutputProgressSerializer(serializers.Serializer[Any]):
    outputs = serializers.IntegerField()
    waiting = serializers.IntegerField()
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    prompts = serializers.IntegerField()
    settled = serializers.IntegerField()
    queued = serializers.IntegerField()
    by_generator = GeneratorProgressSerializer(many=True)


class OutputRequestSerializer(serializers.ModelSerializer[OutputRequest]):
    class Meta:
        model = OutputRequest
        fields: ClassVar = ["id", "state", "k", "seed", "filters", "generators", "created_at", "finished_at"]
        read_only_fields = fields


class OneOutputRequestSerializer(OutputRequestSerializer):
    progress = serializers.SerializerMethodField()

    class Meta(OutputRequestSerializer.Meta):
        fields: ClassVar = [*OutputRequestSerializer.Meta.fields, "progress"]
        read_only_fields = fields

    @extend_schema_field(OutputProgressSerializer)
    def get_progress(self, asked: OutputRequest) -> dict[str, Any]:
        return progress(asked)
