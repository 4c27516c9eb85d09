"""What a hyperparameter is, and those that every stage or every stage that trains has. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

PAPER = "InstructGPT, arXiv 2203.02155"
N_PLUS = "The N+ implementation details of RLHF with PPO, arXiv 2403.17031"
DIRECT = "Direct preference optimization, arXiv 2305.18290"
LORA = "LoRA, arXiv 2106.09685"
LM_HUMAN = "Fine-tuning language models from human preferences, arXiv 1909.08593"

T = TypeVar("T")


def knob(
    default: T,
    help: str,
    *,
    source: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
) -> T:
    """A dataclass field with its help text, source and bounds (inclusive) as metadata."""
    metadata = {"help": help, "source": source, "low": low, "high": high, "choices": tuple(choices)}
    declared: T = field(default=default, metadata=metadata)
    return declared


@dataclass(frozen=True, kw_only=True)
class Computing:
    """What every stage shares: where randomness starts and how the arithmetic is done."""

    seed: int = knob(0, "Start of every random number: data order, initial weights, dropout, sampling.", low=0)
    precision: str = knob(
        "auto",
        "Arithmetic of the models; weights and optimiser stay in fp32. auto: bf16 where the processor is good at it.",
        choices=("auto", "fp32", "bf16"),
    )
    token_budget: int = knob(
        16384, "Most tokens, padding included, in one forward pass; a larger batch is run in parts.", low=16
    )
    max_length: int = knob(
        2048, "Rows of more tokens than this are left out of training and counted.", source=f"{PAPER}, C", low=8
    )

    def problems(self) -> list[str]:
        """What is wrong with the values taken together; subclasses add to it."""
        if self.token_budget < self.max_length:
            return [
                f"token_budget is {self.token_budget} and max_length {self.max_length}: one row must fit into a "
                "forward pass. Raise token_budget or lower max_length."
            ]
        return []


@dataclass(frozen=True, kw_only=True)
class Optimisation(Computing):
    """What every stage that trains shares: AdamW, its schedule, and how often to report and to save."""

    learning_rate: float = knob(9.65e-6, "Peak learning rate of AdamW.", source=f"{PAPER}, C", low=0)
    schedule: str = knob(
        "cosine",
        "How the learning rate falls after the warm-up.",
        source=PAPER,
        choices=("cosine", "linear", "constant"),
    )
    final_lr_fraction: float = knob(
        0.1, "Where the schedule ends, as a share of the peak.", source=f"{PAPER}, C.1", low=0, high=1
    )
    warmup_steps: int = knob(0, "Steps over which the learning rate rises to its peak.", low=0)
    weight_decay: float = knob(0.0, "Decoupled weight decay, on matrices alone.", low=0)
    adam_beta1: float = knob(0.9, "Decay of Adam's mean of gradients.", source=f"{PAPER}, C", low=0, high=0.9999)
    adam_beta2: float = knob(0.95, "Decay of Adam's mean of squares.", source=f"{PAPER}, C", low=0, high=0.99999)
    adam_epsilon: float = knob(1e-8, "Added to the root of Adam's mean of squares.", low=0)
    max_grad_norm: float = knob(1.0, "Gradients are scaled down to this norm; 0 leaves them alone.", low=0)
    batch_size: int = knob(32, "Rows (rankings, for a reward model) a step.", low=1)
    epochs: float = knob(1.0, "Passes over the data; a fraction is allowed.", low=0)
    max_steps: int = knob(0, "Stop after so many steps whatever epochs says; 0: epochs decides.", low=0)
    dropout: float = knob(0.0, "Dropout while training, where the model has any.", low=0, high=0.9)
    log_every: int = knob(1, "Steps between two lines of metrics.", low=1)
    eval_every: int = knob(0, "Steps between two looks at the held-out rows; 0: at the end alone.", low=0)
    checkpoint_seconds: float = knob(
        60.0, "Seconds between checkpoints (they do not touch the mathematics); 0: after every step.", low=0
    )
    group_by_length: bool = knob(
        default=True, help="Put rows of like length into one batch: less padding, same order of epochs."
    )
    gradient_checkpointing: bool = knob(
        default=False,
        help="Keep no activations within layers; the backward pass runs them again: less memory, a third more time.",
        source="Training deep nets with sublinear memory cost, arXiv 1604.06174",
    )
    lora_rank: int = knob(
        0, "Rank of the adapters that are trained on frozen weights; 0: all weights are trained.", source=LORA, low=0
    )
    lora_alpha: int = knob(32, "Adapters count alpha / rank times what they give.", source=LORA, low=0)
    lora_targets: str = knob(
        "all-linear",
        "Layers that get adapters: all-linear, or names with commas between, as q_proj,v_proj.",
        source="QLoRA, arXiv 2305.14314 (all linear layers)",
    )

    def problems(self) -> list[str]:
        problems = super().problems()
        if self.lora_rank and not self.lora_alpha:
            problems.append("lora_alpha is 0: the adapters would do nothing. Raise it, or set lora_rank to 0.")
        if self.epochs == 0 and self.max_steps == 0:
            problems.append("epochs and max_steps are both 0: nothing would be trained. Set one of them.")
        return problems
