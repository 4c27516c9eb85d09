"""The shapes in which the training side goes over the wire."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from training import gates
from training.hyperparameters import AUTO, PRESETS
from training.models import (
    AutomaticRounds,
    Dataset,
    Gate,
    GateDecision,
    Pause,
    Policy,
    Push,
    RewardModel,
    Round,
    RoundStage,
    Stage,
    TrainingRun,
)
from training.options import ACTIVE, CHOICES, LEAST_JUDGEMENTS, MOST_JUDGEMENTS, PLAIN, PUBLISH
from training.outlook import Outlook
from training.rounds import LONGEST_REASON


class DatasetSerializer(serializers.ModelSerializer[Dataset]):
    class Meta:
        model = Dataset
        fields: ClassVar = [
            "id", "files", "counts", "left_out", "filters", "guidelines", "sha256", "code_version", "withdrawn_rows",
            "withdrawn_at", "erasures", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class FreezeSerializer(serializers.Serializer[Any]):
    """What to freeze: everything, unless languages or use cases are named."""

    languages = serializers.ListField(child=serializers.CharField(), required=False)
    use_cases = serializers.ListField(child=serializers.CharField(), required=False)
    prompts_per_author = serializers.IntegerField(
        required=False, min_value=1, help_text="The first prompts of each author; the rest is left out."
    )
    without_gates = serializers.BooleanField(required=False, help_text="Leave out what people judged at gates.")


class RowChangesSerializer(serializers.Serializer[Any]):
    """Of one file, by the records that its rows are made of."""

    name = serializers.CharField()
    before = serializers.IntegerField()
    after = serializers.IntegerField()
    added = serializers.IntegerField()
    removed = serializers.IntegerField()
    changed = serializers.IntegerField()


class FactSerializer(serializers.Serializer[Any]):
    """What each of the two says of the same thing."""

    kind = serializers.CharField()
    name = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class DifferenceSerializer(serializers.Serializer[Any]):
    rows = RowChangesSerializer(many=True)
    left_out = FactSerializer(many=True)
    guidelines = FactSerializer(many=True)
    made_with = FactSerializer(many=True)


class PolicySerializer(serializers.ModelSerializer[Policy]):
    class Meta:
        model = Policy
        fields: ClassVar = [
            "id", "name", "generator", "family", "source", "parent", "run", "figures", "used_withdrawn_rows",
            "used_withdrawn_at", "published_at", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class PlaceSerializer(serializers.Serializer[Any]):
    dataset = serializers.IntegerField(source="dataset.pk")
    files = serializers.ListField(child=serializers.CharField())


class MadeSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="pk")
    kind = serializers.SerializerMethodField(help_text="policy or reward_model")
    name = serializers.CharField()

    def get_kind(self, model: Policy | RewardModel) -> str:
        return "policy" if isinstance(model, Policy) else "reward_model"


class TraceSerializer(serializers.Serializer[Any]):
    """`learnt`: models whose own training had the record among its rows; `descended`: those made of these."""

    places = PlaceSerializer(many=True)
    learnt = MadeSerializer(many=True)
    descended = MadeSerializer(many=True)


class ImportSerializer(serializers.Serializer[Any]):
    """A model to bring in: a folder on the server that holds safetensors, or a name on the hub."""

    source = serializers.CharField(max_length=500)  # type: ignore[assignment] # a field's own name; here it is data
    name = serializers.CharField(max_length=120)


class PushSerializer(serializers.ModelSerializer[Push]):
    """A name on the hub, and what came of it there."""

    class Meta:
        model = Push
        fields: ClassVar = [
            "id", "repository", "public", "state", "error", "url", "commit", "created_at", "finished_at",
        ]  # fmt: skip
        read_only_fields: ClassVar = ["id", "state", "error", "url", "commit", "created_at", "finished_at"]


class EvaluatePolicySerializer(serializers.Serializer[Any]):
    """On which held-out answers, and how many of them; each has a default."""

    dataset = serializers.IntegerField(required=False, help_text="The newest where none is named.")
    judge = serializers.IntegerField(required=False, help_text="A reward model that scores the outputs.")
    prompts = serializers.IntegerField(required=False, min_value=1, max_value=10_000)
    completions = serializers.IntegerField(required=False, min_value=1, max_value=64, help_text="Outputs a prompt.")
    temperature = serializers.FloatField(required=False, min_value=0, max_value=10)
    shots = serializers.IntegerField(
        required=False, min_value=0, max_value=64, help_text="Answers to training prompts before each prompt."
    )
    seed = serializers.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="Which answers these are."
    )


class EvaluateRewardModelSerializer(serializers.Serializer[Any]):
    """On which held-out rankings, and how many of them; each has a default."""

    dataset = serializers.IntegerField(required=False, help_text="The newest where none is named.")
    rankings = serializers.IntegerField(required=False, min_value=1, max_value=10_000)


class RewardModelSerializer(serializers.ModelSerializer[RewardModel]):
    class Meta:
        model = RewardModel
        fields: ClassVar = [
            "id", "name", "family", "source", "parent", "run", "figures", "used_withdrawn_rows", "used_withdrawn_at",
            "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class RunSerializer(serializers.ModelSerializer[TrainingRun]):
    class Meta:
        model = TrainingRun
        fields: ClassVar = [
            "id", "round", "stage", "state", "step", "total_steps", "latest", "result", "error", "attempts",
            "cancel_requested", "dataset", "base", "reference", "judge", "hyperparameters", "code_version",
            "device", "created_at", "started_at", "finished_at", "heartbeat_at",
        ]  # fmt: skip
        read_only_fields = fields


class RunSummarySerializer(serializers.ModelSerializer[TrainingRun]):
    class Meta:
        model = TrainingRun
        fields: ClassVar = ["id", "stage", "state", "step", "total_steps", "latest", "error"]
        read_only_fields = fields


class CurveSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    stage = serializers.CharField()
    name = serializers.CharField(help_text="The model that it made, else the run's number.")
    rows = serializers.ListField(child=serializers.DictField())


class CurvesSerializer(serializers.Serializer[Any]):
    runs = CurveSerializer(many=True)


class GateSerializer(serializers.ModelSerializer[Gate]):
    """`result` and `outcome` are empty until all judgements are in."""

    judged = serializers.SerializerMethodField(help_text="So many judgements are in.")

    class Meta:
        model = Gate
        fields: ClassVar = ["rival", "judgements", "judged", "bar", "outcome", "result", "closed_at"]
        read_only_fields = fields

    def get_judged(self, gate: Gate) -> int:
        return gates.standing(gate)[0]


class MadeDecisionSerializer(serializers.ModelSerializer[GateDecision]):
    class Meta:
        model = GateDecision
        fields: ClassVar = ["publish", "reason", "made_by", "made_at"]
        read_only_fields = fields


class GateDecisionSerializer(serializers.Serializer[Any]):
    """Whether the round's policy is to be published, and why: the reason is kept with the round and in the log."""

    publish = serializers.BooleanField()
    reason = serializers.CharField(max_length=LONGEST_REASON)


class RoundSerializer(serializers.ModelSerializer[Round]):
    runs = RunSummarySerializer(many=True, read_only=True)
    gate = serializers.SerializerMethodField(help_text="Null before the round is at one.")
    decisions = MadeDecisionSerializer(many=True, read_only=True)
    stages = serializers.ListField(
        child=serializers.ChoiceField(RoundStage.choices), read_only=True, help_text="All it goes through, in order."
    )

    class Meta:
        model = Round
        fields: ClassVar = [
            "id", "number", "state", "stage", "stages", "error", "base", "dataset", "policy", "reward_model", "options",
            "figures", "seconds", "runs", "gate", "decisions", "created_at", "published_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(GateSerializer(allow_null=True))
    def get_gate(self, round: Round) -> dict[str, Any] | None:
        gate = getattr(round, "gate", None)
        return None if gate is None else dict(GateSerializer(gate).data)


class StartSerializer(serializers.Serializer[Any]):
    """A round's options; each has a default that suits a first try."""

    base = serializers.IntegerField(required=False, help_text="The policy that the first stage starts from.")
    stages = serializers.ListField(
        child=serializers.ChoiceField(CHOICES), required=False, allow_empty=False,
        help_text="What is trained: sft, reward_model, and one of ppo, dpo and best_of_n, or none of them.",
    )  # fmt: skip
    reward_model = serializers.IntegerField(
        required=False, help_text="For ppo and best_of_n where reward_model is not among the stages; else the newest."
    )
    preset = serializers.ChoiceField([AUTO, *PRESETS], required=False)
    hyperparameters = serializers.DictField(
        child=serializers.DictField(), required=False, help_text="Values by stage, over those of the preset."
    )
    filters = serializers.DictField(child=serializers.ListField(child=serializers.CharField()), required=False)
    prompts_per_author = serializers.IntegerField(required=False, min_value=1)
    publish = serializers.ChoiceField(PUBLISH, required=False)
    gate_judgements = serializers.IntegerField(required=False, min_value=LEAST_JUDGEMENTS, max_value=MOST_JUDGEMENTS)
    gate_bar = serializers.FloatField(
        required=False, min_value=0, max_value=0.99, help_text="The win rate's lower bound has to lie above it."
    )
    prompts = serializers.IntegerField(required=False, min_value=0, help_text="Prompts sampled for the queue.")
    selection = serializers.ChoiceField(
        [PLAIN, ACTIVE], required=False,
        help_text="Of the prompts answered people get all (plain), or of three times as many those where the reward "
        "model is unsure or little is ranked (active).",
    )  # fmt: skip
    random_share = serializers.FloatField(
        required=False, min_value=0.01, max_value=1, help_text="Share of the chosen sets that is drawn by lot; 0.25."
    )
    evaluation_prompts = serializers.IntegerField(required=False, min_value=0)
    seed = serializers.IntegerField(required=False, min_value=0)


class AutomaticSerializer(serializers.ModelSerializer[AutomaticRounds]):
    pause = serializers.ChoiceField(
        Pause.choices, allow_blank=True, read_only=True, help_text="Why it waits for a person."
    )

    class Meta:
        model = AutomaticRounds
        fields: ClassVar = [
            "is_on",
            "rankings",
            "demonstrations",
            "hours",
            "agreement",
            "pause",
            "refusal",
            "looked_at",
        ]
        read_only_fields: ClassVar = ["pause", "refusal", "looked_at"]

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        known = {name: getattr(self.instance, name) for name in ("is_on", "rankings", "demonstrations")} | given
        if known["is_on"] and not (known["rankings"] or known["demonstrations"]):
            raise serializers.ValidationError(_("Say how many new rankings or answers start a round."))
        return given


class StageEstimateSerializer(serializers.Serializer[Any]):
    stage = serializers.ChoiceField(Stage.choices)
    seconds = serializers.FloatField(allow_null=True, help_text="Null: the stage has not run on such a model here yet.")
    runs = serializers.IntegerField(help_text="Earlier runs that it is told by.")


class RoomSerializer(serializers.Serializer[Any]):
    """Bytes, at the fullest moment; null where they can't be told."""

    disk = serializers.IntegerField(allow_null=True)
    disk_free = serializers.IntegerField()
    memory = serializers.IntegerField(allow_null=True, help_text="At least.")
    memory_free = serializers.IntegerField(allow_null=True, help_text="Of the machine of the web server.")


class OutlookSerializer(serializers.Serializer[Any]):
    """What there is to say of a round before it starts."""

    missing = serializers.ListField(child=serializers.CharField(), source="ready.missing")
    stages = StageEstimateSerializer(many=True, source="estimates")
    seconds = serializers.FloatField(allow_null=True, help_text="Of all stages; null unless each has a figure.")
    cost = serializers.SerializerMethodField(help_text="By COMPUTE_RATE, as in 2.40 EUR; null without it.")
    room = RoomSerializer()

    def get_cost(self, outlook: Outlook) -> str | None:
        return f"{outlook.cost[0]:.2f} {outlook.cost[1]}" if outlook.cost else None
