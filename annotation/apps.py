"""The application, and checks that say at start-up what would go wrong later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.db import connection
from django.utils.translation import gettext_lazy as _

OLDEST_POSTGRES = 150_000
SWEEP = "annotation.tasks.release_expired_leases"


class AnnotationConfig(AppConfig):
    name = "annotation"
    verbose_name = _("annotation")

    def ready(self) -> None:
        from annotation.second_factor import roles_are_known  # models can be imported only once all are there

        checks.register(roles_are_known)
        checks.register(leases_are_swept)
        checks.register(sign_up_is_by_invitation)
        checks.register(postgres_is_new_enough, checks.Tags.database)


def leases_are_swept(app_configs: object, **kwargs: Any) -> list[checks.CheckMessage]:
    scheduled = {entry["task"] for entry in getattr(settings, "CELERY_BEAT_SCHEDULE", {}).values()}
    if SWEEP in scheduled:
        return []
    return [
        checks.Warning(
            "No scheduled task gives back pieces of work whose lease ran out.",
            hint=f"Add an entry for {SWEEP!r} to CELERY_BEAT_SCHEDULE, every 30 seconds or so.",
            id="annotation.W001",
        )
    ]


def sign_up_is_by_invitation(app_configs: object, **kwargs: Any) -> list[checks.CheckMessage]:
    adapter = getattr(settings, "ACCOUNT_ADAPTER", "allauth's own")
    if adapter == "annotation.accounts.InvitedOnly":
        return []
    return [
        checks.Warning(
            f"ACCOUNT_ADAPTER is {adapter}, so that strangers may be able to sign up.",
            hint="Set ACCOUNT_ADAPTER to 'annotation.accounts.InvitedOnly' or to a class derived from it.",
            id="annotation.W002",
        )
    ]


def postgres_is_new_enough(
    app_configs: object, *, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Asked only by `migrate` and `check --database`, which may open a connection."""
    if not databases:
        return []
    if connection.vendor != "postgresql":
        found = connection.vendor
    else:
        with connection.cursor() as cursor:
            cursor.execute("select current_setting('server_version_num')::int, current_setting('server_version')")
            number, found = cursor.fetchone()
        if number >= OLDEST_POSTGRES:
            return []
    return [
        checks.Error(
            f"The database is {found}; expected PostgreSQL 15 or newer.",
            hint="Unset DATABASE_URL to use the embedded PostgreSQL, or point it to a PostgreSQL 15+ server.",
            id="annotation.E003",
        )
    ]
