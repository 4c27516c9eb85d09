"""`python -m benchmarks.threads --json FILE`: what the time that OpenMP's threads spin is worth to the starter model.

A step of pretraining as we set it (a short spin) against threads that sleep at once, alone on the machine's cores. The
sides alternate; the ratio is that of the median step times.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from training.algorithms import presets
from training.starter import corpus

ROOT = Path(__file__).resolve().parent.parent
SIDES = {"short spin": {}, "sleep at once": {"GOMP_SPINCOUNT": "0"}}
STEPS, SKIPPED = 120, 40


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus.write(Path(folder) / "corpus")
        found: dict[str, list[float]] = {side: [] for side in SIDES}
        for number in range(arguments.rounds):
            for side, variables in SIDES.items():
                found[side].append(step_ms(Path(folder), f"{side} {number}", variables))
    report = summary(found)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def step_ms(folder: Path, name: str, variables: dict[str, str]) -> float:
    """Milliseconds a step, once the first have passed."""
    out = folder / name
    command = [sys.executable, "-m", "training.algorithms", "pretrain", "--preset", "starter"]
    command += ["--set", f"max_steps={STEPS}", "--texts", str(folder / "corpus/texts.jsonl"), "--out", str(out)]
    inherited = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    subprocess.run(command, cwd=ROOT, env=inherited | variables, check=True, stdout=subprocess.DEVNULL)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    first = next(row for row in rows if row["step"] >= SKIPPED)
    return 1000 * float(rows[-1]["seconds"] - first["seconds"]) / float(rows[-1]["step"] - first["step"])


def summary(found: dict[str, list[float]]) -> dict[str, Any]:
    """The sides' times, and how much longer a step takes where threads sleep at once: the median and its range."""
    ours, other = (found[side] for side in SIDES)
    ratios = [slow / fast for fast, slow in zip(ours, other, strict=True)]
    return {
        "cores": os.cpu_count(),
        "spin_count": os.environ.get("GOMP_SPINCOUNT"),
        "batch_size": presets.OVERRIDES["starter"]["pretrain"]["batch_size"],
        "step_ms": {side: [round(ms, 1) for ms in times] for side, times in found.items()},
        "ratio": {"median": round(median(ratios), 2), "low": round(min(ratios), 2), "high": round(max(ratios), 2)},
    }


if __name__ == "__main__":
    main()
