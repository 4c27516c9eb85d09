"""Work that goes on and on, watched: memory and connections are to stay where they are."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.load.server import memory_mb

if TYPE_CHECKING:
    from benchmarks.load.__main__ import Bench

AT_ONCE = 16
STRETCH = 60.0  # seconds that one process of annotators works
EVERY = 15.0
SETTLED = 0.2  # of the time: until then caches fill
Json = dict[str, Any]


def soak(bench: Bench, *, minutes: float) -> Json:
    """Pages and API in turn by sixteen people; `growth` compares the last fifth of the time with the second."""
    from benchmarks.load.__main__ import summary

    seconds = 60 * minutes
    project = bench.project("soak", max(2_000, int(seconds * 250)))
    began = time.monotonic()
    samples: list[Json] = []
    stretches: list[Json] = []

    def work() -> None:
        cycles = ("one_request", "pages", "four_requests")
        while (left := began + seconds - time.monotonic()) > 1:
            cycle = cycles[len(stretches) % len(cycles)]
            seen = bench.run(project, cycle, AT_ONCE, seconds=min(STRETCH, left), warm_up=0, start_over=False)
            stretches.append({"cycle": cycle, "minute": round((time.monotonic() - began) / 60, 1)} | summary([seen]))
            print(stretches[-1], file=sys.stderr)

    with ThreadPoolExecutor(1) as desks:
        working = desks.submit(work)
        while not working.done():
            samples.append(sample(bench, round((time.monotonic() - began) / 60, 2)))
            time.sleep(EVERY)
        working.result()
    return {
        "minutes": minutes,
        "growth": growth(samples),
        "errors": len(bench.errors),
        "duplicates": bench.duplicates,
        "lost": bench.lost,
        "first_errors": bench.errors[:5],
        "stretches": stretches,
        "samples": samples,
    }


def sample(bench: Bench, minute: float) -> Json:
    from django.db import connection

    web, database = bench.installation.web(), bench.installation.database()
    others = [process for process in bench.installation.processes() if process not in web]
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_stat_activity where backend_type = 'client backend'")
        connections = cursor.fetchone()[0]
    return {
        "minute": minute,
        "web_mb": round(memory_mb(web), 1),
        "workers_mb": round(memory_mb(others), 1),
        "database_mb": round(memory_mb(database), 1),
        "connections": connections,
        "open_files": sum(process.num_fds() for process in web),
        "processes": len(web) + len(others),
    }


def growth(samples: list[Json]) -> dict[str, float]:
    """Means of the last fifth of the samples to those of the second fifth."""
    fifth = max(1, int(len(samples) * SETTLED))
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    names = [name for name in samples[0] if name != "minute"]
    return {
        name: round(sum(each[name] for each in late) / max(1, sum(each[name] for each in early)), 3) for name in names
    }
