"""`python -m training.algorithms STAGE …`: one stage on files, into a run folder.

Exit codes: 0 done, 2 you can fix it (error.json says what), 75 stopped at a checkpoint; anything else is a crash.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import argparse  # noqa: E402 - the clock starts before anything is imported
import contextlib  # noqa: E402
import dataclasses  # noqa: E402
import errno  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NoReturn  # noqa: E402

from training.algorithms import hyperparameters as hp  # noqa: E402
from training.algorithms import knobs, presets  # noqa: E402
from training.algorithms.errors import DONE, STOPPED, USER_CAN_FIX, InputError, Stopped  # noqa: E402
from training.algorithms.run_folder import Follower, Run, describe_inputs, write_json  # noqa: E402
from training.algorithms.supervision import Supervision  # noqa: E402

# Each stage: the module its function (of the same name) is in, and its inputs; an input is required unless it says so.
INPUTS: dict[str, tuple[str, dict[str, str]]] = {
    "pretrain": ("pretrain", {
        "texts": 'JSON lines of {"text"} or {"messages"}',
        "base?": "model to go on from; without it a small Llama is built",
    }),
    "sft": ("sft", {
        "base": "model folder or hub name",
        "demonstrations": 'JSON lines of {"prompt", "completion"}',
        "held-out?": "demonstrations to measure the loss on",
        "pretraining?": 'JSON lines of {"text"} or {"messages"}, mixed in',
    }),
    "reward_model": ("reward_model", {
        "base": "model folder or hub name, best the SFT policy",
        "rankings": 'JSON lines of {"prompt", "completions": [{"text", "rank" or "score"}]}, gzipped or not',
        "held-out?": "rankings to measure loss and accuracy on",
        "demonstrations?": "their mean score becomes 0",
    }),
    "ppo": ("ppo_stage", {
        "policy": "the SFT policy's folder",
        "reward-model": "the reward model's folder",
        "prompts": 'JSON lines of {"id", "prompt"}',
        "reference?": "what the KL is measured to; the policy as it begins where left out",
        "pretraining?": 'JSON lines of {"text"} or {"messages"}: PPO-ptx',
        "held-out?": "prompts to measure KL and reward on",
        "judge?": "a reward model trained apart, which tells if the rise of the reward is real",
    }),
    "dpo": ("dpo", {
        "policy": "the SFT policy's folder",
        "rankings": 'JSON lines of {"prompt", "completions": [{"text", "rank"}]}',
        "reference?": "what the policy is kept near; the policy as it begins where left out",
        "held-out?": "rankings to measure loss and accuracy on",
    }),
    "sample": ("completions", {
        "policy": "model folder or hub name",
        "prompts": 'JSON lines of {"id", "prompt"}',
        "beside?": "a second policy, which gives the smaller half of each prompt's completions",
        "reward-model?": "scores each completion",
    }),
    "best_of_n": ("completions", {
        "policy": "model folder or hub name",
        "prompts": 'JSON lines of {"id", "prompt"}',
        "reward-model": "chooses among each prompt's completions",
    }),
    "score": ("completions", {
        "reward-model": "the reward model's folder",
        "completions": 'JSON lines of {"prompt", "completions": [{"text"}]}',
    }),
    "evaluate": ("evaluation", {
        "policy?": "model folder or hub name",
        "reference?": "what the KL is measured to",
        "prompts?": 'JSON lines of {"id", "prompt"}',
        "reward-model?": "the reward model's folder",
        "rankings?": 'JSON lines of {"prompt", "completions": [{"text", "rank" or "score"}]}, gzipped or not',
    }),
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one stage; the exit code."""
    arguments = vars(parser().parse_args(argv))
    stage: str = arguments["stage"]
    processes, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if not issubclass(hp.STAGES[stage], knobs.Optimisation):
        processes = 1
        if rank > 0:
            return DONE  # what learns nothing runs in the first of the processes that a launcher began
    module, inputs = INPUTS[stage]
    names = [name.rstrip("?").replace("-", "_") for name in inputs]
    given = {name: arguments[name] for name in names}
    supervision = Supervision(arguments["supervisor"])
    out = arguments.get("out") or Path(str(arguments["json"]) + ".run")
    kind = Follower if rank > 0 else Run
    run = kind(Path(out), asked=supervision.should_stop, processes=processes, started=STARTED)
    try:
        if processes > 1:
            importlib.import_module("training.algorithms.sharding").check()
            importlib.import_module("training.algorithms.distributed").join()
        settings = presets.resolve(stage, preset=arguments["preset"], values=_values(arguments))
        run.open(
            stage=stage,
            inputs=describe_inputs({name.replace("_", "-"): value for name, value in given.items()}),
            hyperparameters=dataclasses.asdict(settings),
        )
        if run.is_done:
            print(f"{run.path} is done already.", flush=True)
            return DONE
        run.stop_if_asked()
        figures = _perform(stage, module, run, settings, given)
        run.finish(figures)
    except Stopped:
        print("Stopped at a checkpoint; start it again to go on.", flush=True)
        return STOPPED
    except InputError as error:
        return _report(run, error)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            run.fail(error)
            raise
        return _report(run, error)
    except Exception as error:
        run.fail(error)
        raise
    finally:
        run.close()
    if arguments.get("json") and run.writes:
        write_json(arguments["json"], figures)
    if run.writes:
        print(json.dumps(figures), flush=True)
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line: a sub-command for each stage, whose --help lists the stage's hyperparameters."""
    top = argparse.ArgumentParser(prog="python -m training.algorithms", description=hp.__doc__)
    stages = top.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for stage, (_, inputs) in INPUTS.items():
        sub = stages.add_parser(
            stage,
            help=(hp.STAGES[stage].__doc__ or "").strip(),
            epilog=_explained(stage),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for name, explained in inputs.items():
            sub.add_argument(f"--{name.rstrip('?')}", required=not name.endswith("?"), help=explained)
        if stage == "evaluate":
            sub.add_argument("--json", type=Path, required=True, help="file for the figures")
        else:
            sub.add_argument("--out", type=Path, required=True, help="run folder; goes on where it holds a checkpoint")
        sub.add_argument(
            "--preset", choices=presets.PRESETS, default="paper", help="what the hyperparameters start from"
        )
        sub.add_argument("--hyperparameters", type=Path, metavar="FILE.json", help="values on top of the preset")
        sub.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a value on top of all that")
        sub.add_argument("--supervisor", type=int, metavar="PID", help="stop at a checkpoint once this process is gone")
    return top


def _values(arguments: dict[str, Any]) -> dict[str, Any]:
    values = presets.from_file(arguments["hyperparameters"]) if arguments["hyperparameters"] else {}
    for each in arguments["set"]:
        name, equals, value = each.partition("=")
        if not equals:
            raise InputError(f"--set {each} has no value. Write --set NAME=VALUE.")
        values[name.strip()] = value.strip()
    return values


def _perform(stage: str, module: str, run: Run, settings: knobs.Computing, given: dict[str, Any]) -> dict[str, Any]:
    function = getattr(importlib.import_module(f"training.algorithms.{module}"), stage)
    figures: dict[str, Any] = function(run, settings, **{name: value for name, value in given.items() if value})
    return figures


def _report(run: Run, error: Exception) -> int:
    run.fail(error)
    with contextlib.suppress(OSError):  # the log may lie on the disk that is full
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return USER_CAN_FIX


def _explained(stage: str) -> str:
    lines = ["hyperparameters (paper preset):"]
    for each in dataclasses.fields(hp.STAGES[stage]):
        source = f" [{each.metadata['source']}]" if each.metadata["source"] else ""
        lines.append(f"  {each.name} = {each.default!r}\n      {each.metadata['help']}{source}")
    return "\n".join(lines)


def _end(code: int) -> NoReturn:
    """Everything is written and closed by now; the libraries would take a second to tidy up after themselves."""
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    _end(main())
