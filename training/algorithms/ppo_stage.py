"""PPO on files: opening four models that fit together, training, and saving the policy with what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.algorithms import adapters, data, language_model, model_card, sharding
from training.algorithms.errors import InputError
from training.algorithms.hyperparameters import PPO, Sample
from training.algorithms.networks import Policy, load_policy, load_reward_model, same_vocabulary, within_positions
from training.algorithms.opening import pad_apart
from training.algorithms.ppo import Trainer, fit
from training.algorithms.run_folder import Run


def ppo(
    run: Run,
    settings: PPO,
    *,
    policy: str,
    reward_model: str,
    prompts: str,
    reference: str | None = None,
    pretraining: str | None = None,
    held_out: str | None = None,
    judge: str | None = None,
) -> dict[str, Any]:
    """Train the policy and save it; its last figures, and with held-out prompts its KL and reward on them.

    judge: a reward model that is not trained on, and so says if the rise of the reward is real.
    """
    learner, scorer = load_policy(policy, lora=settings), load_reward_model(reward_model, lora=settings)
    witness = load_reward_model(judge) if judge else None
    settings = within_positions(settings, learner)
    anchor = load_policy(reference or policy, lora=settings)
    for model in (learner, anchor):
        pad_apart(model.model, model.tokenizer)
    if settings.lora_rank:  # one copy of the base, whatever stands on it
        adapters.share_base(learner.model, anchor.model)
        adapters.share_base(learner.model, scorer.model)
    others = {"the reward model": scorer, "the reference": anchor, "the judge": witness}
    for name, each in others.items():
        if each is None:
            continue
        same_vocabulary(learner, each, names=("The policy", name))
        if learner.seq2seq != each.seq2seq:
            raise InputError(f"The policy and {name} are of different families. Train them from the same base.")
    room = settings.max_length - settings.response_length
    asked = _prompts(prompts, learner, limit=room, what="prompts")
    looked_at = _prompts(held_out, learner, limit=room, what="held-out prompts") if held_out else []
    trainer = Trainer(
        settings,
        policy=learner,
        reference=anchor,
        reward_model=scorer,
        prompts=asked,
        pretraining=language_model.mixed_in(pretraining, learner, settings, weight=settings.ptx_coef, name="ptx_coef"),
        judge=witness,
    )
    figures = fit(run, trainer, fixed=(looked_at or asked)[: settings.fixed_samples])
    result = trainer.result()
    if looked_at:
        from training.algorithms.evaluation import compare

        drawn = Sample(
            seed=settings.seed,
            precision=settings.precision,
            token_budget=settings.token_budget,
            max_length=settings.max_length,
            max_new_tokens=settings.response_length,
        )
        with sharding.whole(result) as speaker:
            measured = compare(speaker, anchor, looked_at, reward_model=scorer, settings=drawn, run=run)
        figures |= {f"held_out/{name}": value for name, value in measured.items()}
    parents = {"policy": policy, "reward model": reward_model, "reference": reference or policy, "judge": judge}
    notes = trainer.alarm
    model_card.save(result, run, stage="ppo", settings=settings, figures=figures, parents=parents, notes=notes)
    return figures | ({"alarm_reason": notes} if notes else {})


def _prompts(path: str, policy: Policy, *, limit: int, what: str) -> list[list[int]]:
    rows = data.read_rows(Path(path), data.prompt_problem)
    return data.within([policy.encoder.prompt(row["prompt"]) for row in rows], length=len, limit=limit, what=what)
