"""The site admin's view: people, projects and members to change; texts and work to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from annotation.models import (
    ApiToken,
    Assignment,
    Completion,
    Demonstration,
    Generator,
    Guidelines,
    Item,
    Membership,
    Project,
    Prompt,
    Ranking,
    Terms,
    User,
)

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Project]
else:
    ModelAdmin, TabularInline = admin.ModelAdmin, admin.TabularInline


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
class ProjectAdmin(ModelAdmin):
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
class ApiTokenAdmin(ModelAdmin):
    """Tokens can be taken away here, never made or read."""

    list_display = ("name", "user", "created_at", "expires_at")
    exclude = ("digest",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


admin.site.register(User, UserAdmin)
