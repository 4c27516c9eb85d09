"""The settings of an installation that collects and does not train."""

from __future__ import annotations

from config.settings import *  # noqa: F403
from config.settings import CELERY_BEAT_SCHEDULE, INSTALLED_APPS, SPECTACULAR_SETTINGS

INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "training"]
CELERY_BEAT_SCHEDULE = {
    name: entry for name, entry in CELERY_BEAT_SCHEDULE.items() if not entry["task"].startswith("training.")
}
CELERY_TASK_ROUTES: dict[str, dict[str, str]] = {}
SPECTACULAR_SETTINGS["ENUM_NAME_OVERRIDES"] = {
    name: path for name, path in SPECTACULAR_SETTINGS["ENUM_NAME_OVERRIDES"].items() if path.startswith("annotation.")
}
