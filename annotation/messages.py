"""Nudges to the workers. The row in the database is the truth: a message that is lost or comes twice does no harm."""

from __future__ import annotations

import logging

from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

SWEEP_SECONDS: int = settings.SWEEP_SECONDS
EXPIRES_SECONDS = 4 * SWEEP_SECONDS  # or reminders would pile up in front of a busy worker; the sweep sends new ones


def nudge(task: str, row_id: int) -> None:
    """Have a worker run the task of that name on the row, once the transaction that is open now has been committed."""
    transaction.on_commit(lambda: _send(task, row_id))


def _send(task: str, row_id: int) -> None:
    try:
        current_app.send_task(task, [row_id], expires=EXPIRES_SECONDS)
    except (OperationalError, OSError) as error:
        log.warning("The message %s(%s) could not be sent (%s); the sweep will send it again.", task, row_id, error)
