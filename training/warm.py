"""`python -m training.warm FD`: an interpreter that has imported what every stage needs, and waits to be told which.

Starting Python with torch takes longer than a small stage itself. The worker (training.spare) starts this one while
another stage runs; when the worker has no use for it, or is gone, the socket closes and so does this process.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import socket
import sys

MODULES = (
    *(f"training.algorithms.{stage}" for stage in ("sft", "reward_model", "ppo", "completions", "evaluation")),
    "transformers.models.llama.modeling_llama",  # most models are Llama-like; the others import theirs as they load
)
LONGEST_ORDER = 65_536


def main(descriptor: int) -> None:
    with socket.socket(fileno=descriptor) as channel:
        for module in MODULES:
            importlib.import_module(module)
        order, files, _, _ = socket.recv_fds(channel, LONGEST_ORDER, 2)
    if not order:
        return
    output = files[0]  # the other is the run folder's lock, which lasts as long as this process
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    sys.argv = ["training.algorithms", *json.loads(order)]
    runpy.run_module("training.algorithms", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
