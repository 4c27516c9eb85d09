"""Figures for Prometheus: requests as all the web's processes counted them, and how things stand when it asks.

Each process counts in files of its own in PROMETHEUS_MULTIPROC_DIR, and whoever is asked adds them up. Without that
folder a process tells only of itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    Path(folder).mkdir(parents=True, exist_ok=True)  # it has to be there when the package is first imported

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector
from rest_framework.request import Request

from annotation.api.base import Endpoint
from annotation.audiences import Superusers
from annotation.models import Assignment, AssignmentState, Upload, UploadState

REQUESTS = Counter("plumbline_requests", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "plumbline_request_seconds", "Until the answer began.", ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)  # fmt: skip
AN_HOUR = timedelta(hours=1)


class State(Collector):
    """What the database and the disk hold at this moment. Each is a look at an index of few rows."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        held = Assignment.objects.filter(state=AssignmentState.LEASED)
        yield GaugeMetricFamily("plumbline_leases", "Pieces that people have in hand.", held.count())
        lately = Assignment.objects.filter(
            state=AssignmentState.SUBMITTED, finished_at__gte=timezone.now() - AN_HOUR
        ).count()
        yield GaugeMetricFamily("plumbline_submitted_last_hour", "Pieces handed in during the last hour.", lately)
        waiting = Upload.objects.filter(state__in=[UploadState.RECEIVED, UploadState.CONFIRMED]).count()
        yield GaugeMetricFamily("plumbline_imports_waiting", "Files that a worker has still to read.", waiting)
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from pg_stat_activity where datname = current_database()")
            yield GaugeMetricFamily("plumbline_database_connections", "To our database.", cursor.fetchone()[0])
        free = shutil.disk_usage(settings.DATA).free
        yield GaugeMetricFamily("plumbline_data_free_bytes", "Free where the data folder lies.", free)
        if apps.is_installed("training"):
            yield from runs()


def runs() -> Iterator[GaugeMetricFamily]:
    from django.db.models import Count, Min

    from training.models import RunState, TrainingRun

    counted = dict(TrainingRun.objects.order_by().values_list("state").annotate(Count("pk")))
    by_state = GaugeMetricFamily("plumbline_runs", "Training runs.", labels=["state"])
    for state in RunState.values:
        by_state.add_metric([state], counted.get(state, 0))
    yield by_state
    oldest = TrainingRun.objects.filter(state=RunState.QUEUED).aggregate(Min("created_at"))["created_at__min"]
    waited = (timezone.now() - oldest).total_seconds() if oldest else 0
    yield GaugeMetricFamily("plumbline_oldest_queued_run_seconds", "How long a run has waited for a worker.", waited)


class Metrics(Endpoint):
    """For a superuser's token: what it tells of the installation is nobody else's."""

    audience = Superusers()

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        counted = CollectorRegistry() if folder else REGISTRY
        if folder:
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        now = CollectorRegistry()
        now.register(State())
        return HttpResponse(generate_latest(counted) + generate_latest(now), content_type=CONTENT_TYPE_LATEST)
