"""`python -m benchmarks.over_optimisation …`: gold score and proxy reward against the square root of the KL.

As Gao et al. 2022 (arXiv 2210.10760) draw it, on the starter world, whose gold score no trainer sees: PPO with several
kl_coef, DPO with several beta, and the best of n. All start from one policy, and are looked at on held-out prompts as
they go. The proxy is the reward model that PPO and the best of n are chosen by.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import sides
from benchmarks.scatter import Series, draw
from training.algorithms import data, dpo, ppo, sampling
from training.algorithms.data import Row
from training.algorithms.hyperparameters import DPO, PPO
from training.algorithms.language_model import read_texts
from training.algorithms.networks import Policy, Scorer, load_policy, load_reward_model
from training.algorithms.over_optimisation import best_of, best_of_kl
from training.algorithms.presets import resolve
from training.algorithms.rankings import Ranking, read_rankings
from training.algorithms.reward_model import rewards_of
from training.algorithms.run_folder import Metrics, Run
from training.starter.gold import score

Point = dict[str, float]


@dataclass
class World:
    """What every road starts from and is measured by."""

    policy: str
    reward_model: Scorer
    reference: Policy
    prompts: list[str]  # held out
    settings: DPO  # what completions are scored with

    def sampled(self, policy: Policy, *, each: int) -> tuple[list[list[Row]], list[list[float]], list[list[float]]]:
        """`each` completions a prompt with their proxy rewards and gold scores; the same seeds for every policy."""
        encoded = [policy.encoder.prompt(prompt) for prompt in self.prompts]
        seeds = [[sampling.seed_for(0, "look", i, k) for k in range(each)] for i in range(len(encoded))]
        drawn = sampling.sample(policy, encoded, seeds=seeds, settings=sampling.Settings(max_new_tokens=64))
        rows = [[Row(prompt, one.tokens) for one in row] for prompt, row in zip(encoded, drawn, strict=True)]
        proxy = iter(rewards_of(self.reward_model, [one for row in rows for one in row], settings=self.settings))
        gold = [
            [score(prompt, policy.encoder.decode(one.completion)) for one in row]
            for prompt, row in zip(self.prompts, rows, strict=True)
        ]
        return rows, [[next(proxy) for _ in row] for row in rows], gold

    def look(self, policy: Policy) -> Point:
        """Proxy reward, gold score and KL of the policy, from a completion of each held-out prompt."""
        rows, proxy, gold = self.sampled(policy, each=1)
        alone = [Ranking([one], [1.0]) for row in rows for one in row]
        ours, theirs = (dpo.reference_of(each, alone, settings=self.settings) for each in (policy, self.reference))
        kl = fmean(float(mine - its) for mine, its in zip(ours, theirs, strict=True))
        length = fmean(len(one.completion) for row in rows for one in row)
        return {"kl": kl, "proxy": _mean(proxy), "gold": _mean(gold), "length": length}


class Watched(Run):
    """A run that is looked at as it goes, `every` reports."""

    def watch(self, look: Callable[[], Point], *, every: int) -> list[Point]:
        self.look, self.every, self.points = look, every, [look()]
        return self.points

    def log(self, step: int, total_steps: int, metrics: Metrics) -> None:
        super().log(step, total_steps, metrics)
        self.reports = getattr(self, "reports", 0) + 1
        if self.reports % self.every == 0:
            self.points.append(self.look() | {"step": step})
            print(json.dumps(self.points[-1]), flush=True)


def by_ppo(world: World, prompts: Path, pretraining: Path | None, *, kl_coef: float, episodes: int) -> dict[str, Any]:
    settings = resolve("ppo", preset="starter", values={"kl_coef": kl_coef, "total_episodes": episodes})
    assert isinstance(settings, PPO)
    policy = load_policy(world.policy)
    trainer = ppo.Trainer(
        settings,
        policy=policy,
        reference=world.reference,
        reward_model=world.reward_model,
        prompts=[policy.encoder.prompt(row["prompt"]) for row in data.read_rows(prompts, data.prompt_problem)],
        pretraining=read_texts(str(pretraining) if pretraining else None, policy, settings),
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Watched(Path(folder))
        points = run.watch(lambda: world.look(policy), every=max(1, episodes // settings.batch_size // 8))
        ppo.fit(run, trainer)
    return {"points": points, "alarm": trainer.alarm}


def by_dpo(world: World, rankings: Path, *, beta: float) -> dict[str, Any]:
    settings = resolve("dpo", preset="starter", values={"beta": beta})
    assert isinstance(settings, DPO)
    policy = load_policy(world.policy)
    rows = read_rankings(rankings, policy.encoder)
    with tempfile.TemporaryDirectory() as folder:
        run = Watched(Path(folder))
        points = run.watch(lambda: world.look(policy), every=max(1, len(rows) // settings.batch_size // 8))
        dpo.fit(run, policy, rows, reference=world.reference, settings=settings)
    return {"points": points}


def by_best_of(world: World, *, n: int) -> dict[str, Any]:
    """Choosing among 1, 2, 4 … n/2 of n samples a prompt."""
    _, proxy, gold = world.sampled(world.reference, each=n)
    points = []
    for k in (2**i for i in range(n.bit_length() - 1)):
        chosen = [best_of(scores, k, values) for scores, values in zip(proxy, gold, strict=True)]
        points.append({"kl": best_of_kl(k), "proxy": fmean(best_of(row, k) for row in proxy), "gold": fmean(chosen)})
    return {"points": points}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.over_optimisation", description=__doc__)
    for name, explained in {
        "policy": "the SFT policy's folder, of the starter world",
        "reward-model": "the proxy's folder",
        "rankings": "for DPO",
        "prompts": "for PPO",
        "held-out": "prompts to measure on",
        "json": "where to write the figures",
        "svg": "where to draw them",
    }.items():
        parser.add_argument(f"--{name}", type=Path, required=True, help=explained)
    parser.add_argument("--pretraining", type=Path, help="texts mixed into PPO")
    parser.add_argument("--kl-coef", type=float, nargs="*", default=[0.0, 0.1, 0.3], help="of PPO")
    parser.add_argument("--beta", type=float, nargs="*", default=[0.03, 0.1], help="of DPO")
    parser.add_argument("--episodes", type=int, default=3072, help="of each PPO run")
    parser.add_argument("--count", type=int, default=128, help="held-out prompts to measure on")
    parser.add_argument(
        "--n", type=int, default=32, help="samples a prompt that the best is chosen from; 0: no best of n"
    )
    given = parser.parse_args()

    settings = resolve("dpo", preset="starter")
    assert isinstance(settings, DPO)
    world = World(
        policy=str(given.policy),
        reward_model=load_reward_model(str(given.reward_model)).freeze(),
        reference=load_policy(str(given.policy)).freeze(),
        prompts=[row["prompt"] for row in data.read_rows(given.held_out, data.prompt_problem)][: given.count],
        settings=settings,
    )
    roads: dict[str, Callable[[], dict[str, Any]]] = {}
    if given.n:
        roads["best of n"] = lambda: by_best_of(world, n=given.n)
    for beta in given.beta:
        roads[f"DPO, β {beta:g}"] = lambda beta=beta: by_dpo(world, given.rankings, beta=beta)  # type: ignore[misc]
    for coef in given.kl_coef:
        roads[f"PPO, kl_coef {coef:g}"] = lambda coef=coef: by_ppo(  # type: ignore[misc]
            world, given.prompts, given.pretraining, kl_coef=coef, episodes=given.episodes
        )
    report: dict[str, Any] = {"machine": sides.machine(), "prompts": len(world.prompts), "roads": {}}
    for name, road in roads.items():
        print(name, flush=True)
        report["roads"][name] = road()
        given.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        given.svg.write_text(picture(report["roads"]), encoding="utf-8")


def picture(roads: dict[str, dict[str, Any]]) -> str:
    """Two panels over one axis: what is optimised, and what was meant."""
    panels = {
        title: [
            Series(name, [(max(point["kl"], 0.0) ** 0.5, point[key]) for point in road["points"]])
            for name, road in roads.items()
        ]
        for title, key in (("proxy reward", "proxy"), ("gold score", "gold"))
    }
    return draw(panels, x_title="√KL to the SFT policy (√nats a completion)")


def _mean(rows: Sequence[Sequence[float]]) -> float:
    return fmean(value for row in rows for value in row)


if __name__ == "__main__":
    main()
