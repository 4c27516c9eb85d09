"""`python -m benchmarks.ppo --json FILE --trl-ppo DIR --trl-rloo DIR`: episodes a second of PPO, against TRL's.

32 episodes of 64 new tokens an iteration, in minibatches of 8, the same small Llama of random weights. Ours takes its
four optimiser steps; TRL 1.12.0, whose PPOTrainer was the last, takes one (its gradient accumulation spans the
minibatches). RLOO of TRL 1.16 is what TRL offers today; it trains no value model. `--model half-billion` is for a GPU.
Each TRL lies in a folder of its own:

    pip install --target DIR --no-deps trl==1.12.0 datasets multiprocess dill xxhash pandas
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import sides

MODULE = "benchmarks.ppo_sides"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ppo", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--trl-ppo", type=Path, required=True, help="folder that holds trl 1.12.0")
    parser.add_argument("--trl-rloo", type=Path, required=True, help="folder that holds trl 1.16.0")
    parser.add_argument("--model", choices=["small", "half-billion"], default="small")
    parser.add_argument("--repeats", type=int, default=3, help="how often each side runs")
    parser.add_argument("--iterations", type=int, default=5, help="of each run; the first is not counted")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sides.run([sys.executable, "-m", MODULE, "make", folder, arguments.model], variables={})
        names = {"ours (bf16)": "ours-bf16", "TRL 1.12 PPO": "trl-ppo", "TRL 1.16 RLOO": "trl-rloo"}
        names["ours (fp32)"] = "ours-fp32"
        found = sides.alternate(
            {
                side: [sys.executable, "-m", MODULE, name, folder, str(arguments.iterations)]
                for side, name in names.items()
            },
            repeats=arguments.repeats,
            variables={
                "TRL 1.12 PPO": {"PYTHONPATH": str(arguments.trl_ppo.resolve()), "HF_HUB_OFFLINE": "1"},
                "TRL 1.16 RLOO": {"PYTHONPATH": str(arguments.trl_rloo.resolve()), "HF_HUB_OFFLINE": "1"},
            },
        )
    report = sides.compared(found, figure="episodes_per_second")
    # Where other work runs beside, its share of the processor is in the wall clock and not in this.
    by_cpu = sides.compared(found, figure="episodes_per_cpu_second")
    sides.write(arguments.json, report | {"cpu_ratios": by_cpu["ratios"], "machine": sides.machine()})


if __name__ == "__main__":
    main()
