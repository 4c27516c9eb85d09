"""Step 3 of InstructGPT: PPO against the reward model, with a KL penalty and pretraining gradients mixed in (PPO-ptx).

An iteration samples episodes, scores them and learns from them; a step of the run is one update, so that a run can stop
and go on between any two. The episodes of the iteration are part of the state.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.algorithms import (
    adapters,
    data,
    distributed,
    fixed_samples,
    language_model,
    losses,
    over_optimisation,
    sampling,
    sharding,
)
from training.algorithms.checkpoints import State
from training.algorithms.data import Row
from training.algorithms.episodes import Episodes, places
from training.algorithms.hyperparameters import PPO
from training.algorithms.loop import train
from training.algorithms.losses import KLController
from training.algorithms.networks import Policy, Scorer
from training.algorithms.optimisation import Optimiser, arithmetic
from training.algorithms.packing import Packed
from training.algorithms.reward_model import rewards_of
from training.algorithms.run_folder import Metrics, Run


class Trainer:
    """The four models of PPO and the two halves of an iteration: `collect` episodes and `update` on them."""

    def __init__(
        self,
        settings: PPO,
        *,
        policy: Policy,
        reference: Policy,
        reward_model: Scorer,
        prompts: Sequence[list[int]],
        pretraining: Sequence[Row] = (),
        judge: Scorer | None = None,
    ) -> None:
        self.settings, self.prompts, self.pretraining = settings, prompts, pretraining
        self.alarm = ""
        self.policy, self.value = policy, reward_model.twin()
        self.average = policy.twin().freeze() if settings.ema_decay else None
        self.reference, self.reward_model = reference.freeze(), reward_model.freeze()
        self.judge = judge.freeze() if judge else None
        for module in (self.policy, self.value):
            module.ready(settings)
        self.minibatches = settings.batch_size // settings.minibatch_size
        self.updates = self.minibatches * settings.num_ppo_epochs  # an iteration
        self.total_steps = settings.total_episodes // settings.batch_size * self.updates
        self.optimisers = {
            "policy": Optimiser(policy, settings, peak=settings.learning_rate, total_steps=self.total_steps),
            "value": Optimiser(self.value, settings, peak=settings.value_learning_rate, total_steps=self.total_steps),
        }
        self.kl = KLController(settings.kl_coef, settings.kl_target, settings.kl_horizon)
        self.order = data.Order([len(p) for p in prompts], batch_size=1, seed=settings.seed, group=False)
        self.ptx_order = data.Order(
            [row.length for row in pretraining], batch_size=settings.ptx_batch_size, seed=settings.seed, group=False
        )

    def modules(self) -> dict[str, torch.nn.Module]:
        average: dict[str, torch.nn.Module] = {"average": self.average} if self.average else {}
        return {"policy": self.policy, "value": self.value, **average}

    # ---- collecting ----

    def collect(self, iteration: int, *, run: Run) -> tuple[Episodes, Metrics]:
        """Sample completions from the policy and turn the reward model's scores into advantages."""
        rows, finished = self._respond(iteration, run=run)
        logprobs, ref_logprobs, values, mask, entropy = self._analyse(rows, run=run)
        scores = self._scores(self.reward_model, rows)
        judged = scores - self.settings.missing_eos_penalty * (~finished).to(scores)
        rewards = losses.shaped_rewards(logprobs, ref_logprobs, judged, mask, kl_coef=self.kl.coef)
        if self.settings.whiten_rewards:
            rewards = losses.masked_whiten(rewards, mask, shift_mean=False)
        advantages, returns = losses.gae(rewards, values, mask, gamma=self.settings.gamma, lam=self.settings.lam)
        kl = losses.k1(logprobs, ref_logprobs).sum(1).mean()
        metrics = {
            "objective/reward": scores.mean(),
            "objective/kl": kl,
            "objective/kl_k3": torch.where(mask, losses.k3(logprobs, ref_logprobs), 0).sum(1).mean(),
            "objective/rlhf_reward": judged.mean() - self.kl.coef * kl,
            "objective/entropy": entropy,
            "objective/length": mask.sum(1).float().mean(),
            "objective/finished": finished.float().mean(),
            "value/explained_variance": losses.explained_variance(values[mask], returns[mask]),
            "kl_coef": torch.tensor(self.kl.coef),
            "tokens": mask.sum(),
        }
        if self.judge:
            metrics["objective/judge"] = self._scores(self.judge, rows).mean()
        episodes = Episodes(rows, logprobs, values, losses.masked_whiten(advantages, mask), returns)
        return episodes, {name: float(value) for name, value in metrics.items()}

    def _respond(self, iteration: int, *, run: Run) -> tuple[list[Row], Tensor]:
        """One completion a prompt, seeded by the episode's number; and which of them ended by themselves, (B,)."""
        first = iteration * self.settings.batch_size
        numbers = range(first, first + self.settings.batch_size)
        prompts = [self.prompts[self.order.batch(n)[0]] for n in numbers]
        with sharding.whole(self.policy) as policy:
            sampled = sampling.sample(
                policy,
                distributed.share(prompts),
                seeds=[[sampling.seed_for(self.settings.seed, "episode", n)] for n in distributed.share(numbers)],
                settings=sampling.Settings(
                    max_new_tokens=self.settings.response_length,
                    temperature=self.settings.temperature,
                    precision=self.settings.precision,
                ),
                should_stop=run.should_stop,
            )
        completions = distributed.gather([each[0].tokens for each in sampled], items=len(prompts))
        rows = [Row(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]
        ended = [completion[-1] == self.policy.encoder.eos for completion in completions]
        return rows, torch.tensor(ended, device=self.policy.model.device)

    @torch.no_grad()
    def _analyse(self, rows: list[Row], *, run: Run) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Log-probabilities under policy and reference, values, mask, all (B, R); and the mean entropy, ().

        Each process fills in its share of the rows and leaves zeros elsewhere, so that their sums are all rows'.
        The sampler's own log-probabilities come from another kernel; these come from the one that updates use.
        """
        sizes = [len(row.completion) for row in rows]
        mask = data.lengths_mask(sizes, max(sizes)).to(self.policy.model.device)
        logprobs, ref_logprobs, values = (torch.zeros(mask.shape, device=mask.device) for _ in range(3))
        entropy = torch.zeros((), device=mask.device)
        mine = distributed.share(range(len(rows)))
        parts = data.parts(distributed.share(rows), token_budget=self.settings.token_budget)
        networks = (self.policy, self.value, self.reference)
        for shared in sharding.in_step(parts, idle=lambda: torch.stack([each.idle() for each in networks]).sum()):
            run.stop_if_asked()
            part = [mine[i] for i in shared]
            batch = self._batch([rows[i] for i in part])
            with arithmetic(self.settings.precision):
                new, undecided = losses.logprobs_and_entropy(self._tempered(self.policy, batch), batch.targets)
                value = self.value.values(batch)
                ref = losses.token_logprobs(self._tempered(self.reference, batch), batch.targets)
            entropy += undecided.sum()
            at = places(rows, part)
            for whole, flat in ((logprobs, new), (ref_logprobs, ref), (values, value)):
                whole[at] = flat
        for whole in (logprobs, ref_logprobs, values, entropy):
            distributed.total(whole)
        return logprobs, ref_logprobs, values, mask, entropy / mask.sum()

    def _scores(self, scorer: Scorer, rows: list[Row]) -> Tensor:
        """(B,): each row's reward; the processes share the rows."""
        scores = torch.zeros(len(rows), device=self.policy.model.device)
        mine = rewards_of(scorer, distributed.share(rows), settings=self.settings)
        scores[list(distributed.share(range(len(rows))))] = scores.new_tensor(mine)
        return distributed.total(scores)

    def _batch(self, rows: list[Row]) -> data.Batch | Packed:
        """The rows for policy, reference and value, without padding if all of them can take that."""
        pack = all(each.can_pack([rows]) for each in (self.policy, self.reference, self.value))
        return self.policy.lined_up(rows) if pack else self.policy.collate(rows)

    def _tempered(self, policy: Policy, batch: data.Batch | Packed) -> Tensor:
        """Logits of the distribution that was sampled from."""
        logits = policy.logits(batch)
        return logits if self.settings.temperature == 1 else logits / self.settings.temperature

    # ---- updating ----

    def update(self, episodes: Episodes, *, step: int) -> Metrics:
        """One step of both optimisers on one minibatch, with pretraining gradients in the same buffer."""
        iteration, place = divmod(step, self.updates)
        epoch, minibatch = divmod(place, self.minibatches)
        size = self.settings.minibatch_size
        generator = torch.Generator().manual_seed(
            sampling.seed_for(self.settings.seed, "minibatches", iteration, epoch)
        )
        order = torch.randperm(len(episodes.rows), generator=generator).tolist()
        metrics = self._backward(episodes, order[minibatch * size : (minibatch + 1) * size])
        if self.pretraining and self.settings.ptx_coef:
            rows = [self.pretraining[i] for i in self.ptx_order.batch(step)]
            metrics["ptx/loss"] = language_model.backward(
                self.policy, rows, settings=self.settings, weight=self.settings.ptx_coef
            )
        done = self.optimisers["policy"].update(step)
        metrics |= {"lr": done["lr"], "policy/grad_norm": done["grad_norm"]}
        metrics["value/grad_norm"] = self.optimisers["value"].update(step)["grad_norm"]
        self._average(step)
        return metrics

    def _backward(self, episodes: Episodes, chosen: list[int]) -> Metrics:
        """Add the gradients of the clipped losses, as means over the minibatch's tokens, whatever parts it runs in."""
        count = sum(len(episodes.rows[i].completion) for i in chosen)
        chosen = list(distributed.share(chosen))
        rows = [episodes.rows[i] for i in chosen]
        sums = dict.fromkeys(("policy/loss", "value/loss", "policy/clipfrac", "policy/approx_kl"), 0.0)
        parts = data.parts(rows, token_budget=self.settings.token_budget)
        for part in sharding.in_step(parts, idle=lambda: self.policy.idle() + self.value.idle()):
            batch = self._batch([rows[i] for i in part])
            at = places(episodes.rows, [chosen[i] for i in part])
            old, old_values, advantages, returns = (
                whole[at] for whole in (episodes.logprobs, episodes.values, episodes.advantages, episodes.returns)
            )
            with arithmetic(self.settings.precision):
                new = losses.token_logprobs(self._tempered(self.policy, batch), batch.targets)
                values = self.value.values(batch)
            policy_loss = losses.policy_loss(new, old, advantages, cliprange=self.settings.cliprange).sum() / count
            value_loss = (
                losses.value_loss(values, old_values, returns, cliprange_value=self.settings.cliprange_value).sum()
                / count
            )
            (policy_loss + self.settings.vf_coef * value_loss).backward()
            with torch.no_grad():
                moved = (new - old).exp() - 1
                sums["policy/loss"] += float(policy_loss)
                sums["value/loss"] += float(value_loss)
                sums["policy/clipfrac"] += float((moved.abs() > self.settings.cliprange).float().sum() / count)
                sums["policy/approx_kl"] += float((moved - (new - old)).sum() / count)
        return dict(zip(sums, distributed.totals(*sums.values()), strict=True))

    @torch.no_grad()
    def _average(self, step: int) -> None:
        if self.average is None:
            return
        # Early on, the average follows closely: or it would remember where training began (as in Adam's correction).
        decay = min(self.settings.ema_decay, (1 + step) / (10 + step))
        moving = (adapters.moving(each).values() for each in (self.average, self.policy))
        for mean, weight in zip(*moving, strict=True):
            mean.lerp_(weight, 1 - decay)

    def result(self) -> Policy:
        """The policy to keep: the average of the weights, or the last ones."""
        return self.average or self.policy


def fit(run: Run, trainer: Trainer, *, fixed: Sequence[list[int]] = ()) -> Metrics:
    """Run PPO to its end, from a checkpoint if there is one; the last metrics."""
    settings = trainer.settings
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: optimiser.adam for name, optimiser in trainer.optimisers.items()
    }
    state = State(modules=trainer.modules(), optimizers=optimizers)

    def take_step(step: int) -> Metrics | None:
        iteration, place = divmod(step, trainer.updates)
        trainer.kl.coef = state.values.get("kl_coef", settings.kl_coef)
        if place == 0:
            if fixed and iteration % settings.fixed_samples_every == 0:
                fixed_samples.write(run, trainer, fixed, step=step)
            episodes, metrics = trainer.collect(iteration, run=run)
            state.tensors, state.values["metrics"] = episodes.pack(), [metrics]
        state.values["metrics"].append(trainer.update(Episodes.unpack(state.tensors), step=step))
        if place + 1 < trainer.updates:
            return None
        report = _report(*state.values["metrics"])
        trainer.alarm = _heed(state.values.setdefault("history", {}), report)
        report["alarm"] = float(bool(trainer.alarm))
        trainer.kl.update(report["objective/kl"], episodes=settings.batch_size)
        state.values["kl_coef"] = trainer.kl.coef
        state.values["over"] = bool(settings.max_kl) and report["objective/kl"] > settings.max_kl
        return report

    figures = train(run, state=state, settings=settings, total_steps=trainer.total_steps, take_step=take_step)
    if fixed:
        fixed_samples.write(run, trainer, fixed, step=state.step)
    return figures | {"updates": state.step}


def _report(collected: Metrics, *updates: Metrics) -> Metrics:
    """What an iteration collected, and the means over its updates."""
    return collected | {name: sum(each[name] for each in updates) / len(updates) for name in updates[0]}


def _heed(history: dict[str, list[float]], report: Metrics) -> str:
    """Add the iteration to the run's history; what the alarm makes of it."""
    for name in ("objective/reward", "objective/length", "objective/judge"):
        history.setdefault(name, []).extend([report[name]] if name in report else [])
    return over_optimisation.alarm(*history.values())
