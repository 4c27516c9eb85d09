from __future__ import annotations

from django.apps import AppConfig
from django.core import checks


class ConfigConfig(AppConfig):
    name = "config"
    label = "plumbline_config"

    def ready(self) -> None:
        from config.checks import every_view_says_whom_it_is_for  # models can be imported only once all are there

        checks.register(every_view_says_whom_it_is_for, checks.Tags.urls)
