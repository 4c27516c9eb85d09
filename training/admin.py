"""Django's own admin pages, for looking only: states are changed by the verbs, and a dataset never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from training.models import Dataset, ExternalModel, OutputRequest, Policy, RewardModel, Round, TrainingRun

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnly(ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Dataset)
class DatasetAdmin(ReadOnly):
    list_display = ("__str__", "project", "sha256", "created_at")
    list_filter = ("project",)


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnly):
    list_display = ("__str__", "project", "round", "state", "step", "total_steps", "worker", "created_at")
    list_filter = ("project", "stage", "state")


@admin.register(Round)
class RoundAdmin(ReadOnly):
    list_display = ("__str__", "state", "stage", "policy", "created_at")
    list_filter = ("project", "state")


@admin.register(Policy)
class PolicyAdmin(ReadOnly):
    list_display = ("name", "project", "family", "parent", "published_at")
    list_filter = ("project",)


@admin.register(RewardModel)
class RewardModelAdmin(ReadOnly):
    list_display = ("name", "project", "family", "parent", "created_at")
    list_filter = ("project",)


@admin.register(ExternalModel)
class ExternalModelAdmin(ReadOnly):
    """Without its key: `sealed_key` is no field that forms show."""

    list_display = ("__str__", "project", "model", "base_url", "checked_at", "problem", "removed_at")
    list_filter = ("project",)
    exclude = ("sealed_key",)


@admin.register(OutputRequest)
class OutputRequestAdmin(ReadOnly):
    list_display = ("__str__", "project", "k", "state", "created_at")
    list_filter = ("project", "state")
