"""Rounds without trainers: each run is ended as a worker would, with the start model in the place of a trained one."""

from __future__ import annotations

import json
from typing import Any

from tests.training.world import TEST, Lab
from training import rounds, runs
from training.models import Policy, Round, Stage, TrainingRun


def end_run(run: TrainingRun) -> None:
    """What a worker does at the end of a run, with the start model in the place of a trained one."""
    claimed = TrainingRun.objects.claim(run.pk, worker="test")
    assert claimed is not None
    run.folder.mkdir(parents=True, exist_ok=True)
    if run.stage in (Stage.SFT, Stage.REWARD_MODEL, Stage.PPO, Stage.DPO):
        base = Policy.objects.earliest("id")
        (run.folder / "model").mkdir()
        for file in base.folder.iterdir():
            (run.folder / "model" / file.name).write_bytes(file.read_bytes())
    if run.stage == Stage.SAMPLE:
        lines = [
            {
                "id": row["id"],
                "prompt": row["prompt"],
                "completions": [
                    *(sample(text) for text in (" ", "a", "a ", "b")),
                    *(sample(text) | {"beside": True} for text in ("c", "a")),
                ],
            }
            for row in run.inputs["prompts"]
        ]
        (run.folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if run.stage == Stage.GATE:
        lines = [
            {
                "id": row["id"],
                "prompt": row["prompt"],
                "completions": _turns(run, "new") + _turns(run, "old", beside=True),
            }
            for row in run.inputs["prompts"]
        ]
        (run.folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if run.stage == Stage.BEST_OF_N:
        count = run.hyperparameters["completions"]
        said = [sample(f"output {number}") | {"reward": number % 4} for number in range(count)]
        lines = [{"id": row["id"], "prompt": row["prompt"], "completions": said} for row in run.inputs["prompts"]]
        (run.folder / "best_of_n.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    runs.finish(claimed, {"kl": 1.5, "seconds": {"training": 1.0, "startup": 3.0, "total": 4.5}})


def sample(text: str) -> dict[str, Any]:
    return {"text": text, "tokens": 1, "logprob": -1.0, "finished": True, "seed": 7}


def _turns(run: TrainingRun, text: str, *, beside: bool = False) -> list[dict[str, Any]]:
    """What one of the two policies of a gate says to a prompt."""
    told = {"beside": True} if beside else {}
    return [sample(f"{text} {turn}") | told for turn in range(run.hyperparameters["completions"] // 2)]


def carry_on(round: Round, *, until: str | None = None) -> Round:
    """Advance and end runs until the stage, or until the round ends or waits for a person."""
    while True:
        rounds.advance(round.pk)
        round.refresh_from_db()
        run = round.runs.active().first()
        if run is None or round.stage == until:
            return round
        end_run(run)


def start(lab: Lab, **options: Any) -> Round:
    return rounds.start(lab.project, user=lab.rosa, options={**TEST, **options})
