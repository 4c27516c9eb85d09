"""What a fresh installation lacks: the starter corpus and the model pretrained on it. Killed anywhere, it goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from training import commands

Say = Callable[[str], None]

REPORT_SECONDS = 5.0


class BootstrapError(RuntimeError):
    """The corpus or the model could not be made; the message holds the reason."""


def corpus_folder() -> Path:
    return Path(settings.DATA) / "starter" / "corpus"


def model_folder() -> Path:
    return Path(settings.DATA) / "starter" / "pretrain" / "model"


def build_corpus(*, say: Say) -> Path:
    """The starter corpus, written unless it is there."""
    folder = corpus_folder()
    if folder.exists():
        return folder
    say("Writing the starter corpus: texts, demonstrations and prompts in English and Chinese (about 5 s)")
    draft = folder.with_name(".corpus.part")
    shutil.rmtree(draft, ignore_errors=True)
    done = _python("training.starter", "corpus", "--out", str(draft), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output, _ = done.communicate()
    if done.returncode != 0:
        raise BootstrapError(f"The starter corpus could not be written:\n{output.decode(errors='replace')[-2000:]}")
    draft.rename(folder)
    return folder


def build_model(*, say: Say, preset: str = "starter", values: dict[str, Any] | None = None) -> Path:
    """The starter model, pretrained on the corpus unless it is there; goes on from an earlier attempt's checkpoint."""
    texts = build_corpus(say=say) / "texts.jsonl"
    out = model_folder().parent
    if (out / "result.json").exists():
        return model_folder()
    out.mkdir(parents=True, exist_ok=True)
    say("Pretraining the starter model on this machine's processor: a toy, to try the loop with (about 3 minutes)")
    extra = [part for name, value in (values or {}).items() for part in ("--set", f"{name}={value}")]
    with (out / "run.log").open("ab") as log:
        process = _python(
            "training.algorithms", "pretrain", "--texts", str(texts), "--out", str(out), "--preset", preset, *extra,
            "--supervisor", str(os.getpid()), stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _tell_progress(process, out / "metrics.jsonl", say=say)
        finally:
            process.terminate()
            process.wait()
    if process.returncode != 0:
        raise BootstrapError(f"The starter model could not be trained: {_reason(out)}")
    return model_folder()


def _python(module: str, *arguments: str, stdout: Any, stderr: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, env=commands.environment(), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)


def _tell_progress(process: subprocess.Popen[bytes], metrics: Path, *, say: Say) -> None:
    told = time.monotonic()
    while process.poll() is None:
        time.sleep(0.2)
        if time.monotonic() - told < REPORT_SECONDS:
            continue
        told = time.monotonic()
        if rows := _last_rows(metrics):
            first, last = rows[0], rows[-1]
            a_step = (last["seconds"] - first["seconds"]) / max(1, last["step"] - first["step"])
            left = duration(a_step * (last["total_steps"] - last["step"])) if len(rows) > 1 else "3 min"
            say(f"  {last['step'] / last['total_steps']:4.0%} · loss {last['loss']:.2f} · about {left} left")


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _last_rows(metrics: Path) -> list[dict[str, Any]]:
    """The last ten whole rows: the speed of late is a better guess than the speed since the beginning."""
    if not metrics.exists():
        return []
    return [json.loads(line) for line in metrics.read_text().rpartition("\n")[0].splitlines()[-10:]]


def _reason(out: Path) -> str:
    error = out / "error.json"
    if error.exists():
        return str(json.loads(error.read_text())["message"])
    return (out / "run.log").read_text(errors="replace")[-2000:]
