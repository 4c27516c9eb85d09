"""For load balancers and process managers: whether this process answers, and whether it can do its work."""

from __future__ import annotations

import logging

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from annotation.audiences import Anyone
from annotation.views.decorators import page

log = logging.getLogger(__name__)


@page("GET", audience=Anyone())
def health(request: HttpRequest) -> JsonResponse:
    """Asks nothing of anything else, so that a database that is away has nobody restart the web server."""
    return JsonResponse({"ok": True})


@page("GET", audience=Anyone())
def readiness(request: HttpRequest) -> JsonResponse:
    """503 while the database is away or not migrated. No more is told than which: anyone may ask."""
    found = {"database": False, "migrations": False}
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        found["database"] = True
        executor = MigrationExecutor(connection)
        found["migrations"] = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        log.exception("The database does not answer.")
    ready = all(found.values())
    return JsonResponse({"ok": ready} | found, status=200 if ready else 503)
