"""The site admin's view: people, projects and members to change; texts and work to look at. Changes are logged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from annotation import audit
from annotation.models import (
    ApiToken,
    Assignment,
    AuditEntry,
    Completion,
    Demonstration,
    Generator,
    Guidelines,
    Item,
    Membership,
    Project,
    Prompt,
    Ranking,
    Review,
    Terms,
    User,
)

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Project]
    PeopleAdmin = UserAdmin[User]
else:
    ModelAdmin, TabularInline, PeopleAdmin = admin.ModelAdmin, admin.TabularInline, UserAdmin


class Logged(ModelAdmin):
    """Whatever is changed here stands in the audit log too."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        self.record(request, obj, "added", message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        self.record(request, obj, "changed", message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            self.record(request, obj, "deleted", "")
        return super().log_deletions(request, queryset)

    def record(self, request: HttpRequest, obj: Any, how: str, message: Any) -> None:
        project = obj if isinstance(obj, Project) else None
        audit.record(
            audit.Action.ADMINISTERED, actor=cast(User, request.user), project=project,
            how=how, model=obj._meta.model_name, id=obj.pk, name=project.slug if project else obj.pk,
            fields=without_names(message),
        )  # fmt: skip


def without_names(message: Any) -> Any:
    """What changed, without the names of people that Django adds where it was in a table within the page."""
    if not isinstance(message, list):
        return ""
    return [
        {how: {name: value for name, value in about.items() if name != "object"} for how, about in change.items()}
        for change in message
    ]


class LookOnly(ModelAdmin):
    """Records of work are made by the verbs alone: changed by hand, slots, splits and rankings would not add up."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MembershipInline(TabularInline):
    model = Membership
    autocomplete_fields = ("user",)
    extra = 0


class VersionsInline(TabularInline):
    """Texts that are never changed: a new text is a new version."""

    fields = ("version", "text", "created_by", "created_at")
    readonly_fields = ("created_at",)
    extra = 0

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class GuidelinesInline(VersionsInline):
    model = Guidelines


class TermsInline(VersionsInline):
    """Everybody is asked to agree to a new version."""

    model = Terms


@admin.register(Project)
class ProjectAdmin(Logged):
    list_display = ("name", "slug", "k", "overlap", "created_at", "archived_at")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (MembershipInline, GuidelinesInline, TermsInline)


@admin.register(Prompt)
class PromptAdmin(LookOnly):
    list_display = ("__str__", "project", "author", "kind", "use_case", "language", "split", "pool", "review")
    list_filter = ("project", "split", "pool", "review", "kind", "use_case", "language")
    list_select_related = ("project", "author")


@admin.register(Demonstration)
class DemonstrationAdmin(LookOnly):
    list_display = ("__str__", "prompt", "author", "review", "created_at")
    list_filter = ("prompt__project", "review")
    list_select_related = ("prompt", "author")


@admin.register(Ranking)
class RankingAdmin(LookOnly):
    list_display = ("prompt", "annotator", "groups", "seconds", "review", "created_at")
    list_filter = ("prompt__project", "review")
    list_select_related = ("prompt", "annotator")


@admin.register(Generator)
class GeneratorAdmin(LookOnly):
    list_display = ("name", "kind", "project", "created_at")
    list_filter = ("project", "kind")


@admin.register(Completion)
class CompletionAdmin(LookOnly):
    list_display = ("__str__", "prompt", "generator", "seed", "created_at")
    list_filter = ("generator",)
    list_select_related = ("prompt", "generator")


@admin.register(Item)
class ItemAdmin(LookOnly):
    list_display = ("id", "project", "kind", "language", "priority", "overlap", "open_slots")
    list_filter = ("project", "kind", "language")


@admin.register(Assignment)
class AssignmentAdmin(LookOnly):
    list_display = ("item", "annotator", "slot", "state", "leased_at", "lease_expires_at", "skip_reason")
    list_filter = ("item__project", "state", "skip_reason")
    list_select_related = ("item", "annotator")


@admin.register(ApiToken)
class ApiTokenAdmin(Logged):
    """Tokens can be taken away here, never made or read."""

    list_display = ("name", "user", "created_at", "expires_at")
    exclude = ("digest",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Review)
class ReviewAdmin(LookOnly):
    list_display = ("project", "state", "previous", "reason", "reviewer", "created_at")
    list_filter = ("project", "state")
    list_select_related = ("project", "reviewer")


@admin.register(AuditEntry)
class AuditEntryAdmin(LookOnly):
    list_display = ("at", "actor_id", "project_id", "action", "details")
    list_filter = ("action",)


@admin.register(User)
class PersonAdmin(Logged, PeopleAdmin):
    """People and their passwords."""
