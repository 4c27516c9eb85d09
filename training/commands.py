"""The command line of a run's process, and the little of our environment that it gets to see."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from django.conf import settings

from config.env import env_str
from training import devices
from training.models import Policy, RewardModel, Stage, TrainingRun

PASSED_ON = re.compile(
    r"(PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|LD_LIBRARY_PATH|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|\w+_proxy|\w+_PROXY"
    r"|(CUDA|NVIDIA|NCCL|HIP|ROCR|G?OMP|MKL|OPENBLAS|TORCH|PYTORCH|TRITON|HF|HUGGINGFACE|TRANSFORMERS|TOKENIZERS|ACCELERATE"
    r"|XDG)_\w+|PLUMBLINE_STARTED_FOR)"  # the last is how an installation finds the processes that are its own
)
INPUTS = "given"


def environment(device: str = "") -> dict[str, str]:
    """Ours by a list of names: a trainer opens other people's models and has no business with our secrets."""
    kept = {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}
    return kept | devices.environment(device) | {"PYTHONPATH": str(settings.BASE_DIR), "PYTHONUNBUFFERED": "1"}


def launcher(device: str = "") -> list[str]:
    """What starts a stage on several devices, or where a configuration of accelerate is set; empty: nothing has to."""
    if config := env_str("ACCELERATE_CONFIG"):
        return ["accelerate.commands.launch", "--config_file", config, "-m"]
    if (count := devices.accelerators(device)) > 1:
        return ["accelerate.commands.launch", "--num_processes", str(count), "-m"]
    return []


def command(run: TrainingRun, *, supervisor: int) -> list[str]:
    return [sys.executable, "-m", *launcher(run.device), "training.algorithms", *arguments(run, supervisor=supervisor)]


def arguments(run: TrainingRun, *, supervisor: int) -> list[str]:
    """What follows `python -m training.algorithms`."""
    settings_file = run.folder / INPUTS / "hyperparameters.json"
    common = ["--hyperparameters", str(settings_file), "--supervisor", str(supervisor)]
    return [run.algorithm, *stage_flags(run), *common]


def stage_flags(run: TrainingRun) -> list[str]:
    """What the stage reads and where it writes."""
    given = run.folder / INPUTS
    flags: dict[str, str | Path | None] = {"out": run.folder}
    match run.stage:
        case Stage.PRETRAIN:
            flags |= {"texts": Path(settings.DATA) / run.inputs["texts"], "base": _location(run.base)}
        case Stage.SFT:
            flags |= {
                "base": _location(run.base),
                "demonstrations": _rows(run, "demonstrations"),
                "held-out": _rows(run, "demonstrations_held_out"),
                "pretraining": _texts(run),
            }
        case Stage.REWARD_MODEL:
            flags |= {
                "base": _location(run.base),
                "rankings": _rows(run, "rankings"),
                "held-out": _rows(run, "rankings_held_out"),
                "demonstrations": _rows(run, "demonstrations"),
            }
        case Stage.PPO:
            flags |= {
                "policy": _location(run.base),
                "reward-model": _location(run.judge),
                "reference": _location(run.reference),
                "prompts": _rows(run, "prompts"),
                "pretraining": _texts(run),
            }
        case Stage.DPO:
            flags |= {
                "policy": _location(run.base),
                "rankings": _rows(run, "rankings"),
                "held-out": _rows(run, "rankings_held_out"),
            }
        case Stage.BEST_OF_N:
            flags |= {
                "policy": _location(run.base),
                "prompts": given / "prompts.jsonl",
                "reward-model": _location(run.judge),
            }
        case Stage.SAMPLE | Stage.GATE:
            flags |= {
                "policy": _location(run.base),
                "prompts": given / "prompts.jsonl",
                "beside": _location(run.reference),
                "reward-model": _location(run.judge),
            }
        case Stage.SCORE:
            flags |= {"reward-model": _location(run.judge), "completions": given / "completions.jsonl"}
        case Stage.EVALUATE:
            flags = {"json": run.folder / "figures.json"}
            if run.inputs.get("prompts"):
                flags |= {
                    "policy": _location(run.base),
                    "reference": _location(run.reference),
                    "prompts": given / "prompts.jsonl",
                }
            flags |= {"reward-model": _location(run.judge), "rankings": _rows(run, "rankings_held_out")}
        case _:
            raise NotImplementedError(f"There is no command for the stage {run.stage}.")
    return [part for flag, value in flags.items() if value is not None for part in (f"--{flag}", str(value))]


def write_inputs(run: TrainingRun) -> None:
    """Lay beside the run what it reads and no dataset holds: its settings and the prompts chosen for it."""
    given = run.folder / INPUTS
    given.mkdir(parents=True, exist_ok=True)
    (given / "hyperparameters.json").write_text(json.dumps(run.hyperparameters, indent=1))
    for name in ("prompts", "completions"):
        if rows := run.inputs.get(name):
            with (given / f"{name}.jsonl").open("w") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _location(model: Policy | RewardModel | None) -> str | None:
    return model.location if model is not None else None


def _rows(run: TrainingRun, name: str) -> Path | None:
    """The dataset's file, unless it has no rows."""
    if run.dataset is None or not run.dataset.counts.get(name):
        return None
    return run.dataset.folder / f"{name}.jsonl"


def _texts(run: TrainingRun) -> Path | None:
    return run.base.texts_file if run.base is not None else None
