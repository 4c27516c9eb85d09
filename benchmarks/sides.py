"""The sides of a benchmark, run in turn as processes of one call: medians and spread, ratios, peak memory, machine.

A side is a command that prints a JSON object of figures as its last line. Keep the caller small (no torch): Linux
counts the memory of the process that starts another into that one's peak.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
Figures = dict[str, Any]


def alternate(
    sides: Mapping[str, Sequence[str]], *, repeats: int, variables: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, list[Figures]]:
    """What each side printed in each of its turns, with `load` as it began and its process's `peak_mb`, `cpu_seconds`.

    variables: what a side has in its environment beside ours. Raises CalledProcessError where a side fails.
    """
    found: dict[str, list[Figures]] = {side: [] for side in sides}
    for number in range(repeats):
        # The order turns round each time: neither side always follows the other on a warm machine.
        for side in list(sides)[:: 1 if number % 2 == 0 else -1]:
            found[side].append(run(sides[side], variables=(variables or {}).get(side, {})))
            print(f"{number + 1}/{repeats} {side}: {json.dumps(found[side][-1])}", flush=True)
    return found


def run(command: Sequence[str], *, variables: Mapping[str, str]) -> Figures:
    """The figures of one process; its stderr goes where ours does."""
    load = os.getloadavg()[0]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    printed = process.stdout.read().strip()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command), output=printed)
    figures: Figures = json.loads(printed.rpartition("\n")[2])
    spent = {"peak_mb": round(used.ru_maxrss / 1024), "cpu_seconds": round(used.ru_utime + used.ru_stime, 2)}
    return {**spent, "load": round(load, 2), **figures}


def compared(found: Mapping[str, Sequence[Figures]], *, figure: str) -> Figures:
    """Each side's median, lowest and highest of every number, and how the first side's `figure` compares with the rest.

    `ratio` is against the second side, the median over the turns of both, with its lowest and highest; `ratios` has one
    for each other side. A `figure` is better where it is higher.
    """
    ours, *others = found
    ratios = {
        side: spread([mine[figure] / theirs[figure] for mine, theirs in zip(found[ours], found[side], strict=True)])
        for side in others
    }
    return {
        "ratio": ratios[others[0]]["median"],
        "ratios": ratios,
        "figure": figure,
        "sides": {
            side: {
                name: spread([turn[name] for turn in turns]) if _is_number(value) else value
                for name, value in turns[0].items()
            }
            for side, turns in found.items()
        },
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    return {name: round(take(values), 4) for name, take in (("median", median), ("low", min), ("high", max))}


def machine() -> Figures:
    """What the figures were measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "python": platform.python_version(),
        **versions("torch", "transformers"),
    }


def versions(*packages: str) -> dict[str, str]:
    """The installed versions, without an import of the packages."""
    found = {}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def write(path: Path, report: Figures) -> None:
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
