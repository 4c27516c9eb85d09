"""The one loop that all training stages share: resume, step, log, look at held-out rows, save, stop when asked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import torch

from training.algorithms import checkpoints, distributed, sharding
from training.algorithms.data import Long, Order
from training.algorithms.errors import InputError, Stopped
from training.algorithms.knobs import Optimisation
from training.algorithms.networks import Network
from training.algorithms.optimisation import Optimiser
from training.algorithms.run_folder import Metrics, Run


class Clock:
    """Seconds of training so far, over all the processes that worked on the run."""

    def __init__(self, before: float) -> None:
        self.began, self.before = time.perf_counter(), before

    def now(self) -> float:
        return self.before + time.perf_counter() - self.began


class Averages:
    """Means of the metrics since they were last taken, and tokens a second of training."""

    def __init__(self, seconds: float) -> None:
        self.sums: Metrics = {}
        self.count, self.since = 0, seconds

    def add(self, metrics: Metrics) -> None:
        self.count += 1
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def take(self, seconds: float) -> Metrics:
        means = {name: total / self.count for name, total in self.sums.items() if name != "tokens"}
        if "tokens" in self.sums:
            means["tokens_per_second"] = self.sums["tokens"] / max(seconds - self.since, 1e-9)
        self.sums, self.count, self.since = {}, 0, seconds
        return means


def train(
    run: Run,
    *,
    state: checkpoints.State,
    settings: Optimisation,
    total_steps: int,
    take_step: Callable[[int], Metrics | None],
    evaluate: Callable[[], Metrics] | None = None,
) -> Metrics:
    """Take the steps from the state's to total_steps, from the latest checkpoint if there is one; the last metrics.

    `take_step(step)` must leave the state as it was where it raises Stopped, and returns None where there is nothing to
    report. It sets state.values["over"] to end early. Raises Stopped once a checkpoint is on disk.
    """
    checkpoints.restore(run.checkpoints, state)
    distributed.agree(state.step)
    if run.writes:
        checkpoints.foresee(run.checkpoints, state)
    clock = Clock(float(state.values.get("seconds", 0.0)))
    run.begin("training")
    averages, saved_at, latest = Averages(clock.now()), clock.now(), Metrics()
    while state.step < total_steps and not state.values.get("over"):
        try:
            if distributed.anyone(run.asked()):
                raise Stopped
            distributed.seed(settings.seed, step=state.step)
            metrics = take_step(state.step)
        except Stopped:
            _save(run, state, seconds=clock.now())
            raise
        state.step += 1
        last = state.step == total_steps or bool(state.values.get("over"))
        if metrics is not None:
            reports = state.values["reports"] = state.values.get("reports", 0) + 1
            _check(metrics, step=state.step)
            averages.add(metrics)
            looks = evaluate and (last or _due(reports, settings.eval_every))
            if last or looks or _due(reports, settings.log_every):
                latest = averages.take(clock.now()) | (evaluate() if evaluate and looks else {})
                run.seconds["training"] = clock.now()
                run.log(state.step, total_steps, latest)
        if not last and clock.now() - saved_at >= settings.checkpoint_seconds:
            _save(run, state, seconds=clock.now())
            saved_at = clock.now()
    run.seconds["training"] = clock.now()
    return latest


def train_in_epochs(
    run: Run,
    network: Network,
    items: Sequence[Long],
    *,
    name: str,
    settings: Optimisation,
    backward: Callable[[int, list[int]], Metrics],
    evaluate: Callable[[], Metrics] | None = None,
) -> Metrics:
    """Train a network that is `ready` in passes over the items, as `train` does; the last metrics.

    `backward(step, numbers)` adds the gradient of a step on the numbered items. name: the network's in checkpoints.
    """
    order = Order(
        [item.length for item in items],
        batch_size=settings.batch_size,
        seed=settings.seed,
        group=settings.group_by_length,
    )
    total_steps = order.total_steps(epochs=settings.epochs, max_steps=settings.max_steps)
    optimiser = Optimiser(network, settings, peak=settings.learning_rate, total_steps=total_steps)
    torch.manual_seed(settings.seed)
    return train(
        run,
        state=checkpoints.State(modules={name: network}, optimizers={name: optimiser.adam}),
        settings=settings,
        total_steps=total_steps,
        take_step=lambda step: backward(step, order.batch(step)) | optimiser.update(step),
        evaluate=evaluate,
    )


def _check(metrics: Metrics, *, step: int) -> None:
    """Raise InputError where training has diverged: what follows could only be worse."""
    lost = [name for name, value in metrics.items() if not math.isfinite(value)]
    if lost:
        raise InputError(
            f"{', '.join(lost)} is no finite number at step {step}: training diverged. Lower learning_rate."
        )


def _save(run: Run, state: checkpoints.State, *, seconds: float) -> None:
    state.values["seconds"] = seconds
    if run.writes or sharding.is_on():
        checkpoints.write(run.checkpoints, state, here=run.writes)


def _due(count: int, every: int) -> bool:
    return every > 0 and count % every == 0
