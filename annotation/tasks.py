from __future__ import annotations

from celery import shared_task

from annotation.assignment import release_expired


@shared_task(ignore_result=True)
def release_expired_leases() -> int:
    """Beat's nudge; the rule is `assignment.release_expired`."""
    return release_expired()
