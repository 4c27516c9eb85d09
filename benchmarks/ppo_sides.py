"""One side of `benchmarks.ppo`: its own process prints episodes a second and where the time went, as JSON.

An iteration is 32 episodes of 64 new tokens and one pass over them in minibatches of 8. The first iteration is not
counted. Random weights: this is about speed alone.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, LlamaConfig

EPISODES, MINIBATCH, NEW_TOKENS = 32, 8, 64
SHORTEST, LONGEST = 32, 96  # tokens of a prompt
PHASES = ("generation", "scoring", "update")
WORDS = [f"w{i}" for i in range(2000)]


class Phases:
    """Seconds of each phase of each iteration; an iteration begins with its first phase, generation."""

    def __init__(self) -> None:
        self.iterations: list[dict[str, float]] = []
        self.name, self.since, self.used = "", 0.0, 0.0

    def enter(self, name: str) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now, used = time.perf_counter(), time.process_time()
        if self.name:
            spent = self.iterations[-1]
            spent[self.name] = spent.get(self.name, 0.0) + now - self.since
            spent["cpu"] = spent.get("cpu", 0.0) + used - self.used
        if name == "generation":
            self.iterations.append({})
        self.name, self.since, self.used = name, now, used

    def around(self, function: Callable[..., Any], *, before: str = "", after: str = "") -> Callable[..., Any]:
        """The function, which enters a phase as it is called and another as it returns."""

        def timed(*arguments: Any, **options: Any) -> Any:
            if before and before != self.name:
                self.enter(before)
            result = function(*arguments, **options)
            if after:
                self.enter(after)
            return result

        return timed

    def report(self) -> dict[str, Any]:
        from benchmarks import random_models

        self.enter("")
        counted = self.iterations[1:]
        whole = [sum(each[name] for name in PHASES) for each in counted]
        shares = {
            f"{name}_share": median(each[name] / total for each, total in zip(counted, whole, strict=True))
            for name in PHASES
        }
        return {
            "episodes_per_second": EPISODES / median(whole),
            "episodes_per_cpu_second": EPISODES / median(each["cpu"] for each in counted),
            **shares,
            **random_models.on_gpu(),
        }


def make(folder: Path, size: str) -> dict[str, Any]:
    """The policy and the reward model that every side opens."""
    from benchmarks import random_models
    from training.algorithms.networks import Policy, new_reward_model
    from training.algorithms.optimisation import device
    from training.algorithms.starter_model import train_tokenizer

    tokenizer = train_tokenizer([" ".join(WORDS)] * 2, vocab_size=4096)
    tokenizer.chat_template = None
    tokens: Any = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config: Any = LlamaConfig(
        vocab_size=4096, hidden_size=256, num_hidden_layers=4, num_attention_heads=8, intermediate_size=1024,
        max_position_embeddings=512, tie_word_embeddings=True, bos_token_id=None, **tokens,
    )  # fmt: skip
    if size == "half-billion":
        # A policy of random weights writes any of its tokens, and RLOO reads them as text.
        tokenizer.add_tokens([f"<{token}>" for token in range(len(tokenizer), random_models.QWEN_VOCABULARY - 1)])
        config = random_models.half_billion_config(**tokens)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    Policy(model.to(device()), tokenizer).save(folder / "policy")
    new_reward_model(str(folder / "policy"), seed=0).save(folder / "reward_model")
    return {"parameters": model.num_parameters()}


def prompts(tokenizer: Any) -> list[list[int]]:
    """256 prompts of 32 to 96 tokens."""
    generator = torch.Generator().manual_seed(0)
    sizes = torch.randint(SHORTEST, LONGEST + 1, (256,), generator=generator).tolist()
    ids = tokenizer(" ".join(WORDS)).input_ids
    starts = torch.randint(0, len(ids) - LONGEST, (256,), generator=generator).tolist()
    return [ids[start : start + size] for start, size in zip(starts, sizes, strict=True)]


def ours(folder: Path, iterations: int, *, precision: str) -> dict[str, Any]:
    from training.algorithms import ppo
    from training.algorithms.hyperparameters import PPO
    from training.algorithms.networks import load_policy, load_reward_model
    from training.algorithms.presets import resolve
    from training.algorithms.run_folder import Run

    values = {
        "total_episodes": EPISODES * iterations, "batch_size": EPISODES, "minibatch_size": MINIBATCH,
        "num_ppo_epochs": 1, "response_length": NEW_TOKENS, "max_length": 512, "learning_rate": 3e-6,
        "value_learning_rate": 3e-6, "kl_coef": 0.05, "ema_decay": 0.0, "precision": precision,
        "checkpoint_seconds": 1e9,
    }  # fmt: skip
    settings = resolve("ppo", values=values)
    assert isinstance(settings, PPO)
    policy = load_policy(str(folder / "policy"))
    trainer = ppo.Trainer(
        settings,
        policy=policy,
        reference=load_policy(str(folder / "policy")),
        reward_model=load_reward_model(str(folder / "reward_model")),
        prompts=prompts(policy.tokenizer),
    )
    phases = Phases()
    trainer._respond = phases.around(trainer._respond, before="generation", after="scoring")  # type: ignore[method-assign]
    trainer.update = phases.around(trainer.update, before="update")  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as out:
        figures = ppo.fit(Run(Path(out)), trainer)
    steps = figures["updates"] / iterations
    return {**phases.report(), "precision": precision, "steps": steps, "tokens": figures["objective/length"]}


def trl_ppo(folder: Path, iterations: int) -> dict[str, Any]:
    """TRL 1.12.0, its defaults but for sizes; they ask for bf16, which this trainer ignores."""
    from datasets import Dataset
    from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

    tokenizer = AutoTokenizer.from_pretrained(folder / "policy", padding_side="left")
    rows = Dataset.from_dict({"input_ids": prompts(tokenizer)})
    phases = Phases()
    ppo_trainer.batch_generation = phases.around(ppo_trainer.batch_generation, before="generation", after="scoring")
    with tempfile.TemporaryDirectory() as out:
        arguments = PPOConfig(
            output_dir=out, total_episodes=EPISODES * iterations, per_device_train_batch_size=MINIBATCH,
            gradient_accumulation_steps=EPISODES // MINIBATCH, num_mini_batches=EPISODES // MINIBATCH,
            num_ppo_epochs=1, response_length=NEW_TOKENS, temperature=1.0, num_sample_generations=0,
            save_strategy="no", report_to=[], use_cpu=not torch.cuda.is_available(), disable_tqdm=True,
        )  # fmt: skip
        trainer = PPOTrainer(
            arguments,
            processing_class=tokenizer,
            model=AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32),
            ref_model=AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32),
            reward_model=_classifier(folder),
            value_model=_classifier(folder),
            train_dataset=rows,
            eval_dataset=rows,
        )
        trainer.accelerator.accumulate = phases.around(trainer.accelerator.accumulate, before="update")
        steps = _count_steps(trainer.optimizer)
        trainer.train()
    return {**phases.report(), "precision": "fp32", "steps": steps() / iterations, "tokens": NEW_TOKENS}


def trl_rloo(folder: Path, iterations: int) -> dict[str, Any]:
    """TRL 1.16.0, its defaults (bf16, gradient checkpointing) but for sizes: no value model, two answers a prompt."""
    from datasets import Dataset
    from trl import RLOOConfig, RLOOTrainer

    tokenizer = AutoTokenizer.from_pretrained(folder / "policy", padding_side="left")
    rows = Dataset.from_dict({"prompt": tokenizer.batch_decode(prompts(tokenizer))})
    phases = Phases()
    with tempfile.TemporaryDirectory() as out:
        arguments = RLOOConfig(
            output_dir=out, max_steps=iterations * EPISODES // MINIBATCH, per_device_train_batch_size=MINIBATCH,
            steps_per_generation=EPISODES // MINIBATCH, num_generations=2, max_completion_length=NEW_TOKENS,
            temperature=1.0, beta=0.05, top_k=0, save_strategy="no", report_to=[],
            use_cpu=not torch.cuda.is_available(), disable_tqdm=True,
        )  # fmt: skip
        trainer = RLOOTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32),
            reward_funcs=_classifier(folder),
            args=arguments,
            train_dataset=rows,
            processing_class=tokenizer,
            reward_processing_classes=AutoTokenizer.from_pretrained(folder / "policy"),
        )
        trainer._generate = phases.around(trainer._generate, before="generation", after="scoring")
        trainer._generate_and_score_completions = phases.around(trainer._generate_and_score_completions, after="update")
        trainer.create_optimizer()
        steps = _count_steps(trainer.optimizer)
        trainer.train()
    return {**phases.report(), "precision": "bf16", "steps": steps() / iterations, "tokens": NEW_TOKENS}


def _classifier(folder: Path) -> Any:
    return AutoModelForSequenceClassification.from_pretrained(folder / "reward_model", dtype=torch.float32)


def _count_steps(optimizer: Any) -> Callable[[], int]:
    """How often the optimiser under accelerate's wrapper really steps."""
    inner, taken = getattr(optimizer, "optimizer", optimizer), [0]
    inner.register_step_post_hook(lambda *_: taken.__setitem__(0, taken[0] + 1))
    return lambda: taken[0]


SIDES: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "ours-bf16": partial(ours, precision="bf16"),
    "ours-fp32": partial(ours, precision="fp32"),
    "trl-ppo": trl_ppo,
    "trl-rloo": trl_rloo,
}

if __name__ == "__main__":
    side, folder, size = sys.argv[1:]
    print(json.dumps(make(Path(folder), size) if side == "make" else SIDES[side](Path(folder), int(size))))
