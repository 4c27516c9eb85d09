"""`python -m training.simulation OUT.json …`: the reports of several studies as tables in Markdown, and pooled."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from training.simulation.statistics import paired_gain

Report = dict[str, Any]


def main(paths: Sequence[str]) -> int:
    if not paths:
        print("Give the JSON files that manage.py simulate wrote.", file=sys.stderr)
        return 2
    reports = [json.loads(Path(path).read_text()) for path in paths]
    print(*tables(reports), sep="\n")
    return 0


def tables(reports: Sequence[Report]) -> list[str]:
    """Lines of Markdown: what the policies are worth, how well the reward models judge, and what it all took."""
    rounds = [(report, entry) for report in reports for entry in report["rounds"]]
    lines = _table(
        "Seed | Round | Base | SFT | PPO | SFT − base | PPO − SFT | PPO wins against SFT | KL",
        (
            [report["seed"], entry["round"], *(_interval(entry["gold"][name]) for name in ("base", "sft", "ppo")),
             *(_interval(entry["gold_gain"][name], sign="+") for name in ("sft_over_base", "ppo_over_sft")),
             _interval(entry["win_rate_ppo_over_sft"]), f"{entry['kl']:.2f}"]
            for report, entry in rounds
        ),
    )  # fmt: skip
    lines += _table(
        "Seed | Round | SFT, its best temperature | PPO at that | SFT, best of 16 | Without stock faults: SFT | PPO",
        (
            [report["seed"], entry["round"], *_other_roads(entry["gold_of_other_roads"]),
             *(_interval(entry["gold_without_stock_faults"][name]) for name in ("sft", "ppo"))]
            for report, entry in rounds
        ),
    )  # fmt: skip
    lines += _table(
        "Seed | Round | Rankings | Held out | Agreement | Gold | Reward model | Below the gold | Clear pairs",
        (
            [report["seed"], entry["round"], entry["rankings"],
             f"{entry['held_out_rankings']} ({entry['held_out_pairs']} pairs)",
             *(f"{entry[name]:.3f}" for name in ("annotator_agreement", "gold_accuracy", "reward_accuracy")),
             f"{entry['gold_accuracy'] - entry['reward_accuracy']:.3f}", f"{entry['reward_accuracy_clear']:.3f}"]
            for report, entry in rounds
        ),
    )  # fmt: skip
    lines += _table(
        "Seed | Minutes in all | Pretraining, s | Overhead of each round, s | Mean characters: base, SFT, PPO",
        (
            [report["seed"], f"{report['wall_seconds'] / 60:.1f}", f"{report['rounds'][0]['seconds']['pretrain']:.0f}",
             ", ".join(f"{entry['overhead_seconds']:.1f}" for entry in report["rounds"]),
             "; ".join(", ".join(f"{length:.0f}" for length in entry["mean_length"].values())
                       for entry in report["rounds"])]
            for report in reports
        ),
    )  # fmt: skip
    lines += [f"Round {number} of all studies: {_pooled_accuracy(reports, number)}." for number in _numbers(reports)]
    if later := later_over_first(reports):
        gain = _interval(later, sign="+")
        lines.append(f"PPO of the last round less PPO of the first, prompts of all studies pooled: {gain}.")
    return lines


def later_over_first(reports: Sequence[Report]) -> dict[str, Any] | None:
    """The paired gain in gold of the last round's PPO policy over the first's; None where all have one round."""
    first, last = dict[str, list[float]](), dict[str, list[float]]()
    for report in reports:
        if len(report["rounds"]) > 1:
            ends = (report["rounds"][0], report["rounds"][-1])
            for pooled, entry in zip((first, last), ends, strict=True):
                golds = enumerate(entry["gold_by_prompt"]["ppo"])  # in the order of the prompts, the same in each round
                pooled.update({f"{report['seed']} {number}": [gold] for number, gold in golds})
    return paired_gain(first, last, seed=0).as_json() if first else None


def _numbers(reports: Sequence[Report]) -> list[int]:
    return sorted({entry["round"] for report in reports for entry in report["rounds"]})


def _pooled_accuracy(reports: Sequence[Report], number: int) -> str:
    """What gold and reward model reach on the held-out pairs of all studies together."""
    entries = [entry for report in reports for entry in report["rounds"] if entry["round"] == number]
    pairs = sum(entry["held_out_pairs"] for entry in entries)
    gold, reward = (
        sum(entry[name] * entry["held_out_pairs"] for entry in entries) / pairs
        for name in ("gold_accuracy", "reward_accuracy")
    )
    return f"{pairs} held-out pairs, gold {gold:.3f}, reward model {reward:.3f}, {gold - reward:.3f} below"


def _other_roads(found: dict[str, dict[str, float]]) -> list[str]:
    sft = {name: each for name, each in found.items() if name.startswith("sft_at_")}
    sharpest = max(sft, key=lambda name: sft[name]["mean"])
    temperature = sharpest.removeprefix("sft_at_")
    best_of = next(each for name, each in found.items() if name.startswith("sft_best_of_"))
    ppo = found[f"ppo_at_{temperature}"]
    return [f"{_interval(sft[sharpest])} (T {temperature})", _interval(ppo), _interval(best_of)]


def _interval(found: dict[str, float], *, sign: str = "") -> str:
    return f"{found['mean']:{sign}.3f} [{found['low']:{sign}.3f}, {found['high']:{sign}.3f}]"


def _table(head: str, rows: Iterable[Sequence[Any]]) -> list[str]:
    columns = head.split(" | ")
    return [
        f"| {head} |",
        "|" + "---|" * len(columns),
        *(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows),
        "",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
