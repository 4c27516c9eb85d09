"""The Celery door: thin tasks. The rules are in the verbs that they call."""

from __future__ import annotations

from celery import shared_task

from annotation import reports, uploads
from annotation.assignment import release_expired


@shared_task(ignore_result=True)
def release_expired_leases() -> int:
    return release_expired()


@shared_task(ignore_result=True, max_retries=0)
def carry_on(upload_id: int) -> None:
    """Look through or import a file."""
    uploads.carry_on(upload_id)


@shared_task(ignore_result=True)
def sweep_uploads() -> None:
    uploads.sweep()


@shared_task(ignore_result=True, max_retries=0)
def make_report(report_id: int) -> None:
    reports.make(report_id)


@shared_task(ignore_result=True)
def sweep_reports() -> None:
    reports.sweep()
