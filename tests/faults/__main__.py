"""`python -m tests.faults --rounds 200 --seed 1`: faults on a throw-away installation; the table of what came of them.

It runs in a mount namespace of its own where the system lets it, so that the data folder is a small file system that
can be filled, and that is gone with the last process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.breaking import FAULTS
from tests.faults.brokers import Broker, Folder, Redis

STAGES = ("sft", "reward_model")
DISK = "1500m"
APART = "PLUMBLINE_FAULTS_APART"


def main() -> int:
    if APART not in os.environ:
        _go_apart()
    options = _options()
    with _data_folder() as data:
        broker = Redis(data) if options.redis else Folder(data)
        _choose_environment(data, broker=broker)
        from django import setup

        setup()
        from tests.faults.campaign import Campaign
        from tests.faults.installation import Installation

        there = Installation(data, broker)
        try:
            campaign = Campaign(there, seed=options.seed, tell=lambda line: print(line, flush=True))
            outcome = campaign.run(options.rounds, kinds=options.kinds, stages=options.stages)
        except BaseException:
            _print_logs(data)
            raise
        finally:
            there.clear()
        if outcome.violations:
            _print_logs(data)
    print(table(outcome))
    if options.json:
        options.json.write_text(json.dumps(outcome.as_json(), indent=1))
    return 1 if outcome.violations else 0


def table(outcome: Any) -> str:
    """A line a fault: its rounds, submissions made and accepted, runs that ended, violations, the worst recovery."""
    head = ("fault", "rounds", "made", "accepted", "runs ended", "violations", "well after")
    lines = [
        (name, row.rounds, row.made, row.accepted, row.runs_ended, row.violations, max(row.recovery))
        for name, row in sorted(outcome.rows.items())
    ]
    sums = [sum(line[column] for line in lines) for column in range(1, 6)]  # type: ignore[misc]
    lines.append(("all", *sums, max(line[6] for line in lines)))
    text = [f"{line[0]:30}" + "".join(f"{cell!s:>12}" for cell in line[1:]) for line in (head, *lines)]
    text += [f"left out: {name}: {reason}" for name, reason in outcome.left_out.items()]
    text += [f"seed {outcome.seed}; {outcome.seconds:.0f} s; requests sent again: {outcome.repeated}"]
    text += [f"runs ended: {dict(outcome.ended)}; tried again by a person: {dict(outcome.retried)}"]
    text += [f"VIOLATION {each}" for each in outcome.violations] or ["no violation"]
    return "\n".join(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="0: any, and it is printed")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--kinds", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="KIND")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, metavar="STAGE", help="of the runs")
    parser.add_argument("--redis", action="store_true", help="as the broker, where redis-server is installed")
    options = parser.parse_args()
    options.seed = options.seed or int.from_bytes(os.urandom(3)) + 1
    print(f"seed {options.seed}", flush=True)
    return options


def _go_apart() -> None:
    """Become the same program in a mount namespace of its own; nothing happens where that is not permitted."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return
    flags = ["--mount"] if os.geteuid() == 0 else ["--mount", "--map-root-user"]
    tried = subprocess.run([unshare, *flags, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
    if tried.returncode == 0:
        os.environ[APART] = "1"
        os.execv(unshare, [unshare, *flags, sys.executable, "-m", "tests.faults", *sys.argv[1:]])


@contextmanager
def _data_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="plumbline-faults-"))
    mounted = APART in os.environ
    if mounted:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _choose_environment(data: Path, *, broker: Broker) -> None:
    for name in ("DATABASE_URL", "CELERY_BROKER_URL", "SECRET_KEY", "TEST_SETTINGS"):
        os.environ.pop(name, None)
    os.environ |= {
        "PLUMBLINE_DATA": str(data), "DJANGO_SETTINGS_MODULE": "config.settings", "SWEEP_SECONDS": "2",
        "OMP_NUM_THREADS": "1", "LOG_LEVEL": "WARNING",
        **broker.environment,
    }  # fmt: skip


def _print_logs(data: Path) -> None:
    for log in sorted((data / "run" / "logs").glob("*.log")):
        print(f"── {log.name}\n{log.read_text(errors='replace')[-60_000:]}")


if __name__ == "__main__":
    raise SystemExit(main())
