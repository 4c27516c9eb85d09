"""`python -m benchmarks.load --json FILE`: people at work over HTTP, on an installation as `make run` starts it.

A cycle is a ranking taken and submitted: by one request, a submit that brings the next piece (`concurrency`), by two,
by four with a heartbeat and a draft between them, and by the pages that a browser opens. Database, web server,
workers, clock and the annotators, who are a process of their own, share this machine's cores. Every check is on:
sessions, CSRF, the content security policy, limits; the database waits for the disk. `others` is how many cores other
programs had. What is compared is measured by turns; `turns` says how far these lie apart.

`--seconds 3 --items 1000 20000` for a quick look; `--soak MINUTES` works on for so long and watches memory and
connections.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from statistics import mean, quantiles
from typing import Any

from benchmarks.load import material
from benchmarks.load.server import (
    ROOT,
    Installation,
    cores,
    memory_mb,
    others_share,
    processor_seconds,
    running,
    statements_logged,
)

Json = dict[str, Any]

CYCLES = ("one_request", "two_requests", "four_requests", "pages")
AT_ONCE = (1, 16, 200)
LEASES = 500
DONE_BEFORE = 20_000
IN_OTHER_LANGUAGES = 0.95
FEW_CYCLES, COUNTED_CYCLES = 20, 200
TURNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--items", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--at-once", type=int, nargs="+", default=list(AT_ONCE), help="annotators")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="nothing else: work on for so long")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "PLUMBLINE_DATA": folder, "DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "WARNING",
            # Asked and counted as ever, but out of reach: one person here does what a hundred do in a day.
            "API_REQUESTS_PER_MINUTE": "1000000",
        }  # fmt: skip
        with running(Path(folder).resolve()) as installation:
            import django

            django.setup()
            from django.conf import settings

            settings.LOGGING = {}
            report: Json = {"cores": cores()} | measured(Bench(installation, arguments))
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


class Bench:
    """The installation with its people, and what a measurement needs."""

    def __init__(self, installation: Installation, arguments: argparse.Namespace) -> None:
        self.installation, self.arguments = installation, arguments
        self.people = material.make_people(max(arguments.at_once))
        self.sessions = material.sessions(self.people)
        self.errors: list[str] = []
        self.duplicates = self.lost = self.runs = 0

    def project(self, slug: str, items: int, **options: Any) -> material.Project:
        made = material.make_project(slug, items, **options)
        material.join(made, self.people, languages=["en"])
        return made

    def run(
        self, project: material.Project, cycle: str, at_once: int, *, seconds: float | None = None,
        most: int = 10**9, warm_up: float = 1.0, start_over: bool = True,
    ) -> Json:  # fmt: skip
        """What so many annotators do in the time, and whether all of it is there once."""
        if start_over:
            material.start_over(project)
        self.runs += 1
        plan = {
            "port": self.installation.port, "slug": project.slug, "cycle": cycle, "seed": self.runs, "most": most,
            "sessions": self.sessions[:at_once], "seconds": seconds or self.arguments.seconds, "warm_up": warm_up,
        }  # fmt: skip
        web, database = self.installation.web(), self.installation.database()
        before = processor_seconds(web), processor_seconds(database), others_share([*web, *database])
        seen = worked(plan)
        database = [*database, *(new for new in self.installation.database() if new not in database)]
        after = processor_seconds(web), processor_seconds(database), others_share([*web, *database])
        self.check(project, seen)
        all_seconds, all_cycles = seen["seconds"] + warm_up, max(1, len(seen["submitted"]))
        return seen | {
            "others": max(0.0, (after[2] - before[2] - seen["processor_seconds"]) / all_seconds),
            "ms_of_processor_a_cycle": {
                "web": round(1000 * (after[0] - before[0]) / all_cycles, 1),
                "database": round(1000 * (after[1] - before[1]) / all_cycles, 1),
                "client": round(1000 * seen["processor_seconds"] / all_cycles, 1),
            },
        }

    def check(self, project: material.Project, seen: Json) -> None:
        self.errors += seen["errors"]
        wrong = material.wrong(project, seen["submitted"])
        self.duplicates += wrong["duplicates"]
        self.lost += wrong["lost"]


def worked(plan: Json) -> Json:
    client = subprocess.run(
        [sys.executable, "-m", "benchmarks.load.annotators"],
        cwd=ROOT, input=json.dumps(plan), capture_output=True, text=True,
    )  # fmt: skip
    if client.returncode:
        sys.exit(f"The annotators stopped: {client.stderr[-2000:]}")
    seen: Json = json.loads(client.stdout)
    return seen


def measured(bench: Bench) -> Json:
    if bench.arguments.soak:
        from benchmarks.load.soak import soak

        return soak(bench, minutes=bench.arguments.soak)
    warm = bench.project("warm", 500)
    bench.run(warm, "one_request", min(32, len(bench.people)), seconds=2)
    report: Json = {}
    for name in bench.arguments.only:
        started = time.monotonic()
        report |= PARTS[name](bench)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return report | {
        "errors": len(bench.errors),
        "duplicates": bench.duplicates,
        "lost": bench.lost,
        "first_errors": bench.errors[:5],
    }


def concurrency(bench: Bench) -> Json:
    """Each kind of cycle by 1, 16 and 200, and all sizes by 16 as well."""
    sizes = {items: bench.project(f"items-{items}", items) for items in sorted(bench.arguments.items)}
    usual = sizes[sorted(sizes)[len(sizes) // 2]]
    report: Json = {"items": usual.items}
    for cycle in CYCLES:
        report["concurrency" if cycle == "one_request" else cycle] = cycles(bench, usual, cycle)
    by_size = {str(items): cycles(bench, project, "one_request") for items, project in sizes.items()}
    for project in sizes.values():
        material.start_over(project)
    found = takes(bench, {str(items): project for items, project in sizes.items()})
    by_items = {items: by_size[items] | {"take": found[items]} for items in by_size}
    return report | {"by_items": by_items} | compared("take_by_items", found)


def cycles(bench: Bench, project: material.Project, cycle: str) -> Json:
    """What 1, 16 and 200 do, by turns."""
    runs: dict[int, list[Json]] = {number: [] for number in bench.arguments.at_once}
    for _turn in range(TURNS):
        for number, seen in runs.items():
            seen.append(bench.run(project, cycle, number, seconds=bench.arguments.seconds / TURNS))
    return {str(number): summary(seen) for number, seen in runs.items()}


def statements(bench: Bench) -> Json:
    """What the database is asked in a cycle, by its own log."""
    project = bench.project("statements", 2 * COUNTED_CYCLES)
    found = {}
    for cycle in CYCLES:
        few, many = (asked(bench, project, cycle, most) for most in (FEW_CYCLES, FEW_CYCLES + COUNTED_CYCLES))
        found[cycle] = round((many - few) / COUNTED_CYCLES, 2)  # without what the first of a day's cycles has more
    return {"statements_per_cycle": found["one_request"], "statements": found}


def asked(bench: Bench, project: material.Project, cycle: str, cycles: int) -> int:
    """How many statements so many cycles of one person take."""
    bench.run(project, cycle, 1, most=FEW_CYCLES)
    with statements_logged(bench.installation.folder) as lines:
        bench.run(project, cycle, 1, most=cycles, seconds=600, warm_up=0)
    return len(lines)


def leases(bench: Bench) -> Json:
    """Taking while others hold the first pieces of the queue."""
    free, leased = bench.project("no-leases", 20_000), bench.project("leases", 20_000)
    holders = material.make_people(LEASES, prefix="holder")
    material.join(leased, holders, languages=["en"])
    material.hold(leased, holders)
    found = takes(bench, {"0": free, str(LEASES): leased})
    return {"by_leases": found} | compared("take_by_leases", found)


def history(bench: Bench) -> Json:
    """Taking by somebody who did the first 20,000 pieces, which wait for others, when few of the rest are theirs."""
    items = 5 * DONE_BEFORE

    def language(number: int) -> str:
        own = number < DONE_BEFORE or number % 100 >= 100 * IN_OTHER_LANGUAGES
        return "en" if own else "zh"

    fresh = bench.project("nothing-done", items, language=language, overlap=2)
    worn = bench.project("much-done", items, language=language, overlap=2)
    material.answered(worn, bench.people[0], DONE_BEFORE)
    found = takes(bench, {"0": fresh, str(DONE_BEFORE): worn})
    return {"by_done_before": found} | compared("take_by_done_before", found)


def takes(bench: Bench, projects: dict[str, material.Project]) -> dict[str, Json]:
    """What taking costs one person in each, by turns, going on where they were."""
    runs: dict[str, list[Json]] = {name: [] for name in projects}
    seconds = bench.arguments.seconds / TURNS
    for _turn in range(TURNS):
        for name, seen in runs.items():
            most = projects[name].items // (2 * TURNS)
            seen.append(bench.run(projects[name], "two_requests", 1, most=most, seconds=seconds, start_over=False))
    return {
        name: {
            "takes": sum(len(each["takes"]) for each in seen),
            **percentiles([took for each in seen for took in each["takes"]]),
            "turns_p95_ms": [percentiles(each["takes"])["p95_ms"] for each in seen],
            "others": mean_of(seen, "others"),
        }
        for name, seen in runs.items()
    }  # fmt: skip


def export(bench: Bench) -> Json:
    """20,000 rankings as one file over HTTP, and what the web server's memory rises to meanwhile."""
    project = bench.project("ranked", DONE_BEFORE)
    material.rank_all(project, bench.people)
    [ada] = material.make_people(1, prefix="researcher")
    from annotation.models import Membership, Role

    Membership.objects.create(project_id=project.pk, user_id=ada, role=Role.RESEARCHER)
    [session] = material.sessions([ada])
    url = f"http://localhost:{bench.installation.port}/api/v1/projects/{project.slug}/export/rankings.jsonl"
    request = urllib.request.Request(url, headers={"Cookie": f"sessionid={session}"})
    web = bench.installation.web()
    idle, most, done = memory_mb(web), [0.0], threading.Event()
    used = processor_seconds(web)

    def watch() -> None:
        while not done.wait(0.05):
            most[0] = max(most[0], memory_mb(web))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started, size, rows = time.monotonic(), 0, 0
    with urllib.request.urlopen(request, timeout=300) as answer:
        while chunk := answer.read(2**16):
            size += len(chunk)
            rows += chunk.count(b"\n")
    seconds = time.monotonic() - started
    done.set()
    watcher.join()
    if rows != DONE_BEFORE:
        bench.errors.append(f"{rows} rankings were exported; expected {DONE_BEFORE}")
    figures = {
        "rows": rows, "seconds": round(seconds, 2), "mb_above_idle": round(most[0] - idle, 1),
        "processor_seconds": round(processor_seconds(web) - used, 2),
        "idle_mb": round(idle, 1), "file_mb": round(size / 1e6, 1),
    }  # fmt: skip
    return {"export": figures}


PARTS = {
    "concurrency": concurrency, "statements": statements, "leases": leases, "history": history, "export": export,
}  # fmt: skip


def summary(runs: list[Json]) -> Json:
    """Of all turns together."""
    took = [seconds for run in runs for seconds in run["took"]]
    return {
        "cycles_per_second": round(len(took) / sum(run["seconds"] for run in runs), 1),
        "turns": [round(len(run["took"]) / run["seconds"], 1) for run in runs],
        **percentiles(took),
        "cycles": len(took),
        "errors": sum(len(run["errors"]) for run in runs),
        "ms_of_processor_a_cycle": {
            who: round(mean(run["ms_of_processor_a_cycle"][who] for run in runs), 1)
            for who in runs[0]["ms_of_processor_a_cycle"]
        },
        "others": mean_of(runs, "others"),
    }


def mean_of(runs: list[Json], name: str) -> float:
    return round(mean(float(run[name]) for run in runs), 2)


def percentiles(seconds: list[float]) -> Json:
    if len(seconds) < 2:
        return dict.fromkeys(("p50_ms", "p95_ms", "p99_ms"), math.nan)
    at = quantiles(seconds, n=100, method="inclusive")
    return {f"p{each}_ms": round(1000 * at[each - 1], 1) for each in (50, 95, 99)}


def compared(name: str, found: dict[str, Json]) -> Json:
    """The slowest 95th percentile to that of the first: of all turns together, and of the turns the least and most."""
    first, *others = found.values()
    slowest = max(others, key=lambda each: float(each["p95_ms"]), default=first)
    turns = [other / one for one, other in zip(first["turns_p95_ms"], slowest["turns_p95_ms"], strict=True)]
    return {
        f"{name}_p95_ratio": round(slowest["p95_ms"] / first["p95_ms"], 2),
        f"{name}_p95_ratios": [round(min(turns), 2), round(max(turns), 2)],
    }


if __name__ == "__main__":
    main()
