"""The messages that training sends, and the tasks that take them."""

from __future__ import annotations

import re
from pathlib import Path

from celery import current_app
from django.conf import settings

SENT = re.compile(r"""\bnudge\(\s*"(\w+)\"""")


def test_every_message_is_taken_by_a_task() -> None:
    """Whatever nobody takes is dropped by the worker without a word."""
    sources = (Path(settings.BASE_DIR) / "training").rglob("*.py")
    sent = {name for source in sources for name in SENT.findall(source.read_text())}
    assert {"execute_run", "ask_external", "take_outputs"} <= sent
    current_app.loader.import_default_modules()
    assert {f"training.tasks.{name}" for name in sent} <= set(current_app.tasks)
