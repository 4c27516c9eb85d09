"""Files of completions: sampled from a policy, and scored by a reward model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.algorithms import data, sampling
from training.algorithms.data import Row
from training.algorithms.errors import InputError
from training.algorithms.hyperparameters import BestOfN, Sample, Score
from training.algorithms.networks import (
    Policy,
    Scorer,
    load_policy,
    load_reward_model,
    same_vocabulary,
    within_positions,
)
from training.algorithms.over_optimisation import best_of, best_of_kl
from training.algorithms.reward_model import rewards_of
from training.algorithms.run_folder import Metrics, Run
from training.algorithms.sampling import Sampled

PARTIAL = "samples.partial.jsonl"


def sample(
    run: Run,
    settings: Sample,
    *,
    policy: str,
    prompts: str,
    beside: str | None = None,
    reward_model: str | None = None,
) -> Metrics:
    """Write samples.jsonl: each prompt's completions, in the prompts' order. A stopped run goes on where it was.

    beside: a second policy, which gives the smaller half of each prompt's completions; they come last, and say so.
    """
    if beside and settings.completions < 2:
        raise InputError(
            f"completions is {settings.completions}, and two policies share them. Ask for at least 2, or name one "
            "policy."
        )
    lines = data.read_rows(Path(prompts), data.prompt_problem)
    speaker = load_policy(policy).freeze()
    second = load_policy(beside).freeze() if beside else None
    scorer = load_reward_model(reward_model).freeze() if reward_model else None
    for name, each in {"The policy": speaker, "The policy beside it": second}.items():
        if each:
            settings = within_positions(settings, each)
            if scorer:
                same_vocabulary(each, scorer, names=(name, "the reward model"))
    voices = [(speaker, _share(settings, second), "")]
    if second:
        voices.append((second, _share(settings, second, smaller=True), "beside:"))
    lengths = [len(shortened(speaker.encoder.prompt(line["prompt"]), settings=settings)) for line in lines]
    done = {line.pop("number"): line for line in _whole_lines(run.path / PARTIAL)}
    run.begin("sampling")
    for batch in sampling.batches_of_prompts(lengths, repeats=candidates(voices[0][1]), rows=settings.batch_size):
        if done.keys() >= set(batch):
            continue
        run.stop_if_asked()
        spoken: list[list[dict[str, Any]]] = [[] for _ in batch]
        for voice, share, key in voices:
            encoded = [shortened(voice.encoder.prompt(lines[i]["prompt"]), settings=settings) for i in batch]
            keys = [key + _key(lines[i], i) for i in batch]
            drawn = draw(voice, encoded, keys=keys, settings=share, run=run)
            rewards = _rewards(scorer, encoded, drawn, settings=settings)
            for said, completions, scores in zip(spoken, drawn, rewards, strict=True):
                said += _completions(completions, scores, voice, beside=voice is second)
        for i, said in zip(batch, spoken, strict=True):
            done[i] = {"id": lines[i].get("id"), "prompt": lines[i]["prompt"], "completions": said}
            run.append(PARTIAL, done[i] | {"number": i})
        run.log(len(done), len(lines), {"tokens_per_second": _tokens(done.values()) / run.elapsed("sampling")})
    run.end("sampling")
    _write_lines(run.path / "samples.jsonl", (done[i] for i in range(len(lines))))
    (run.path / PARTIAL).unlink(missing_ok=True)
    count = sum(len(line["completions"]) for line in done.values())
    return {"prompts": len(lines), "completions": count, "mean_length": _tokens(done.values()) / max(count, 1)}


def best_of_n(run: Run, settings: BestOfN, *, policy: str, prompts: str, reward_model: str) -> Metrics:
    """Write best_of_n.jsonl: each prompt's n completions with their rewards, and the number of the one chosen.

    The figures say what choosing among 1, 2, 4 … n gives, and how far it is from the policy.
    """
    sample(run, settings, policy=policy, prompts=prompts, reward_model=reward_model)
    lines = data.read_rows(run.path / "samples.jsonl", data.completions_problem)
    rewards = [[each["reward"] for each in line["completions"]] for line in lines]
    chosen = [line | {"chosen": row.index(max(row))} for line, row in zip(lines, rewards, strict=True)]
    _write_lines(run.path / "best_of_n.jsonl", chosen)
    (run.path / "samples.jsonl").unlink()
    figures: Metrics = {"prompts": len(lines)}
    n = settings.completions
    for k in sorted({n, *(2**i for i in range(n.bit_length()))}):
        best = sum(best_of(row, k) for row in rewards) / len(rewards)
        figures |= {f"best_of_{k}/reward": best, f"best_of_{k}/kl": best_of_kl(k)}
    return figures


def score(run: Run, settings: Score, *, reward_model: str, completions: str) -> Metrics:
    """Write scores.jsonl: the rows of the file, in order, with a reward on each completion."""
    lines = data.read_rows(Path(completions), data.completions_problem)
    scorer = load_reward_model(reward_model).freeze()
    rows = [
        Row(
            scorer.encoder.prompt(line["prompt"]),
            scorer.encoder.completion(each["text"], ended=each.get("finished", True)),
        )
        for line in lines
        for each in line["completions"]
    ]
    run.begin("scoring")
    rewards = iter(rewards_of(scorer, rows, settings=settings))
    run.end("scoring")
    for line in lines:
        line["completions"] = [each | {"reward": next(rewards)} for each in line["completions"]]
    _write_lines(run.path / "scores.jsonl", lines)
    everything = [each["reward"] for line in lines for each in line["completions"]]
    return {"completions": len(everything), "mean_reward": sum(everything) / max(len(everything), 1)}


def candidates(settings: Sample) -> int:
    """Completions sampled a prompt."""
    return settings.candidates or settings.completions


def draw(
    policy: Policy, prompts: Sequence[list[int]], *, keys: Sequence[str], settings: Sample, run: Run
) -> list[list[Sampled]]:
    """The completions kept of each prompt: all that are sampled, or the first K candidates that differ in text."""
    drawn = sampling.sample(
        policy,
        prompts,
        seeds=[[sampling.seed_for(settings.seed, key, k) for k in range(candidates(settings))] for key in keys],
        settings=sampling.Settings(
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            precision=settings.precision,
        ),
        should_stop=run.should_stop,
    )
    if not settings.candidates:
        return drawn
    differing = [
        list({policy.encoder.decode(each.tokens): each for each in reversed(row)}.values())[::-1] for row in drawn
    ]
    return [row[: settings.completions] for row in differing]


def shortened(prompt: list[int], *, settings: Sample) -> list[int]:
    """The end of a prompt that leaves no room for a completion otherwise."""
    return prompt[-(settings.max_length - settings.max_new_tokens) :]


def _key(line: dict[str, Any], number: int) -> str:
    """What a prompt's seeds are made from: its id, so that they stay when prompts come or go around it."""
    return str(line.get("id", number))


def _rewards(
    scorer: Scorer | None, prompts: Sequence[list[int]], drawn: Sequence[Sequence[Sampled]], *, settings: Sample
) -> list[list[float]] | list[None]:
    if scorer is None:
        return [None] * len(prompts)
    rows = [Row(prompt, each.tokens) for prompt, row in zip(prompts, drawn, strict=True) for each in row]
    rewards = iter(rewards_of(scorer, rows, settings=settings))
    return [[next(rewards) for _ in row] for row in drawn]


def _share(settings: Sample, second: Policy | None, *, smaller: bool = False) -> Sample:
    """The settings with what one of two policies gives of the completions; all of them where there is no second."""
    if second is None:
        return settings
    halves = {
        name: getattr(settings, name) // 2 if smaller else -(-getattr(settings, name) // 2)
        for name in ("completions", "candidates")
    }
    return replace(settings, **halves)


def _completions(
    sampled: Sequence[Sampled], rewards: Sequence[float] | None, policy: Policy, *, beside: bool
) -> list[dict[str, Any]]:
    completions: list[dict[str, Any]] = [
        {
            "text": policy.encoder.decode(each.tokens),
            "tokens": len(each.tokens),
            "logprob": round(each.logprob, 5),
            "finished": each.finished,
            "seed": each.seed,
        }
        | ({"beside": True} if beside else {})
        for each in sampled
    ]
    for completion, reward in zip(completions, rewards or (), strict=False):
        completion["reward"] = round(reward, 5)
    return completions


def _tokens(lines: Iterable[dict[str, Any]]) -> int:
    return sum(each["tokens"] for line in lines for each in line["completions"])


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file that a kill may have cut short in its last one."""
    if path.exists():
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
        yield from (json.loads(line) for line in whole.split("\n") if line)


def _write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    beside = path.with_name(f".{path.name}")
    with beside.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    beside.replace(path)
