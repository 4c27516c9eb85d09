"""Every knob of every stage: typed, explained, with its source and the paper's value as the default.

Torch-free, so that web pages can read the dataclasses. Names follow the field (`kl_coef`, `cliprange`, `vf_coef` …).
"""

from __future__ import annotations

from dataclasses import dataclass

from training.algorithms.knobs import DIRECT, LM_HUMAN, N_PLUS, PAPER, Computing, Optimisation, knob


@dataclass(frozen=True, kw_only=True)
class LanguageModelling(Optimisation):
    """What pretraining and fine-tuning share."""

    packing: bool = knob(
        default=False,
        help="Put several rows into one line of a batch, none seeing another: less padding, dearer attention. "
        "Rows of like length in one batch are faster on processors. For causal models.",
    )


@dataclass(frozen=True, kw_only=True)
class Pretrain(LanguageModelling):
    """Language modelling on raw text; without a base model, also the shape of the model that is built."""

    learning_rate: float = knob(3e-4, "Peak learning rate of AdamW.", low=0)
    weight_decay: float = knob(0.1, "Decoupled weight decay, on matrices alone.", low=0)
    warmup_steps: int = knob(50, "Steps over which the learning rate rises to its peak.", low=0)
    vocab_size: int = knob(2048, "Tokens of the byte-level BPE trained on the texts.", low=300)
    hidden_size: int = knob(192, "Width of the model that is built.", low=8)
    num_layers: int = knob(4, "Layers of the model that is built.", low=1)
    num_heads: int = knob(6, "Attention heads of the model that is built.", low=1)
    intermediate_size: int = knob(512, "Width of the feed-forward part of the model that is built.", low=8)
    max_position_embeddings: int = knob(1024, "Longest sequence the model that is built is meant for.", low=16)
    initializer_range: float = knob(
        0.02,
        "Standard deviation of the weights of the model that is built; narrow ones learn faster from wider.",
        low=0,
    )
    tie_word_embeddings: bool = knob(
        default=True, help="Use one matrix for the embedding of tokens and for the output."
    )

    def problems(self) -> list[str]:
        problems = super().problems()
        if self.hidden_size % self.num_heads or (self.hidden_size // self.num_heads) % 2:
            problems.append(
                f"hidden_size is {self.hidden_size} and num_heads {self.num_heads}: each head needs an even share. "
                "Choose a hidden_size that is a multiple of 2 × num_heads."
            )
        return problems


@dataclass(frozen=True, kw_only=True)
class SFT(LanguageModelling):
    """Supervised fine-tuning on demonstrations; the loss is on the answers alone."""

    epochs: float = knob(16.0, "Passes over the demonstrations.", source=f"{PAPER}, C.1", low=0)
    dropout: float = knob(
        0.2, "Residual dropout while training, where the model has any.", source=PAPER, low=0, high=0.9
    )
    pretraining_share: float = knob(
        0.1,
        "Share of pretraining rows in a batch, when pretraining texts are given.",
        source=f"{PAPER}, C.3 (the model that PPO starts from)",
        low=0,
        high=0.9,
    )


@dataclass(frozen=True, kw_only=True)
class Reward(Optimisation):
    """Reward modelling on rankings: all pairs of a ranking are one element of the batch."""

    learning_rate: float = knob(9e-6, "Peak learning rate of AdamW.", source=f"{PAPER}, C.2", low=0)
    batch_size: int = knob(64, "Rankings a step; each weighs the same.", source=f"{PAPER}, C.2", low=1)
    ties: str = knob(
        "drop",
        "Pairs of equal rank: left out of the loss, or half a point for either side.",
        source=f"{PAPER}, C.2 (drop)",
        choices=("drop", "half"),
    )
    group_by_length: bool = knob(default=False, help="Put rankings of like length into one batch: less padding.")
    calibrate: bool = knob(
        default=False,
        help="Scale the scores down until they claim no more than the held-out rankings bear out.",
        source="arXiv 1706.04599, 4.2",
    )


@dataclass(frozen=True, kw_only=True)
class DPO(Optimisation):
    """Direct preference optimisation: the policy learns from rankings, without a reward model."""

    learning_rate: float = knob(1e-6, "Peak learning rate of AdamW.", source=f"{DIRECT}, B (there RMSprop)", low=0)
    schedule: str = knob("constant", "How the learning rate falls after the warm-up.", source=f"{DIRECT}, B",
                         choices=("cosine", "linear", "constant"))  # fmt: skip
    warmup_steps: int = knob(150, "Steps over which the learning rate rises to its peak.", source=f"{DIRECT}, B", low=0)
    batch_size: int = knob(64, "Rankings a step; each weighs the same.", source=f"{DIRECT}, B (64 pairs)", low=1)
    beta: float = knob(
        0.1, "Price of the KL to the reference: the lower, the further the policy moves.", source=f"{DIRECT}, B",
        low=1e-6,
    )  # fmt: skip
    ties: str = knob(
        "drop", "Pairs of equal rank: left out of the loss, or half a point for either side.", choices=("drop", "half")
    )
    group_by_length: bool = knob(default=False, help="Put rankings of like length into one batch: less padding.")


@dataclass(frozen=True, kw_only=True)
class PPO(Optimisation):
    """Reinforcement learning of the policy against the reward model, kept near the policy it started from."""

    learning_rate: float = knob(
        9.65e-6, "Learning rate of the policy; swept from 2.55e-6 to 2.55e-5.", source=f"{PAPER}, C.4", low=0
    )
    value_learning_rate: float = knob(9e-6, "Learning rate of the value model.", source=f"{PAPER}, C.4", low=0)
    schedule: str = knob("constant", "How the learning rate falls after the warm-up.", source=f"{PAPER}, C.4",
                         choices=("cosine", "linear", "constant"))  # fmt: skip
    warmup_steps: int = knob(
        80, "Updates over which the learning rates rise to their peaks: 10 iterations.", source=f"{PAPER}, C.4", low=0
    )
    total_episodes: int = knob(256_000, "Completions sampled and learnt from in all.", source=f"{PAPER}, C.4", low=1)
    batch_size: int = knob(512, "Episodes an iteration.", source=f"{PAPER}, C.4", low=1)
    minibatch_size: int = knob(64, "Episodes an update.", source=f"{PAPER}, C.4", low=1)
    num_ppo_epochs: int = knob(1, "Passes over an iteration's episodes.", source=f"{PAPER}, C.4", low=1)
    response_length: int = knob(1024, "Most tokens of a completion.", source=f"{PAPER}, C", low=1)
    temperature: float = knob(1.0, "Sampling temperature; the policy's own distribution is 1.", source=PAPER, low=0.01)
    kl_coef: float = knob(0.02, "Weight of the per-token KL penalty to the reference.", source=f"{PAPER}, C.4", low=0)
    kl_target: float = knob(
        0.0, "KL an episode that kl_coef is steered towards; 0 keeps kl_coef fixed.", source=f"{LM_HUMAN}, 2.2", low=0
    )
    kl_horizon: int = knob(
        10_000, "Episodes over which kl_coef may double or halve about once.", source=LM_HUMAN, low=1
    )
    gamma: float = knob(
        1.0, "Discount; 1 for episodes that are rewarded once, at their end.", source=PAPER, low=0, high=1
    )
    lam: float = knob(0.95, "GAE's trade of bias for variance.", source=LM_HUMAN, low=0, high=1)
    cliprange: float = knob(
        0.2, "How far an update may move a token's probability ratio.", source=f"{PAPER}, C.4", low=0
    )
    cliprange_value: float = knob(
        0.2, "How far an update may move a value; 0: as far as it likes.", source=LM_HUMAN, low=0
    )
    vf_coef: float = knob(0.1, "Weight of the value loss.", source=LM_HUMAN, low=0)
    whiten_rewards: bool = knob(
        default=False, help="Scale rewards to unit variance before the advantages are made.", source=N_PLUS
    )
    missing_eos_penalty: float = knob(
        0.0, "Taken from the reward of a completion that did not end by itself.", source=f"{N_PLUS} (1.0)", low=0
    )
    ptx_coef: float = knob(
        27.8, "Weight of the pretraining gradients, when pretraining texts are given.", source=f"{PAPER}, C.4", low=0
    )
    ptx_batch_size: int = knob(512, "Pretraining rows an update: eight an episode.", source=f"{PAPER}, C.4", low=1)
    ema_decay: float = knob(
        0.992, "The result is this moving average of the weights over updates; 0: the last weights.",
        source=f"{PAPER}, C.4", low=0, high=0.99999,
    )  # fmt: skip
    max_kl: float = knob(0.0, "Stop when the KL of an iteration passes this; 0: never.", low=0)
    fixed_samples: int = knob(8, "Prompts whose completions are written down as training goes on.", low=0)
    fixed_samples_every: int = knob(10, "Iterations between two looks at the fixed prompts.", low=1)

    def problems(self) -> list[str]:
        problems = super().problems()
        if self.batch_size % self.minibatch_size:
            problems.append(
                f"batch_size is {self.batch_size} and minibatch_size {self.minibatch_size}: an iteration must split "
                "into equal updates. Choose a batch_size that is a multiple of minibatch_size."
            )
        if self.total_episodes < self.batch_size:
            problems.append(
                f"total_episodes is {self.total_episodes}, less than one iteration of batch_size {self.batch_size}. "
                "Raise the one or lower the other."
            )
        if self.response_length >= self.max_length:
            problems.append(
                f"response_length is {self.response_length} and max_length {self.max_length}: no room for a prompt. "
                "Raise max_length or lower response_length."
            )
        if self.kl_target and not self.kl_coef:
            problems.append(
                f"kl_coef is 0 and kl_target {self.kl_target}: kl_coef is steered by factors, and 0 stays 0. "
                "Raise kl_coef, or set kl_target to 0."
            )
        if self.dropout:
            problems.append(
                f"dropout is {self.dropout}: the probability ratio would compare two different networks. Set it to 0."
            )
        return problems


@dataclass(frozen=True, kw_only=True)
class Sample(Computing):
    """Sampling completions from a policy."""

    completions: int = knob(1, "Completions kept a prompt (K).", low=1)
    candidates: int = knob(
        0, "Completions sampled a prompt, of which the first K that differ are kept; 0: as many as are kept.", low=0
    )
    temperature: float = knob(
        1.0, "1: the policy's own distribution; 0: always the likeliest token.", source=PAPER, low=0
    )
    top_k: int = knob(0, "Sample from the k likeliest tokens; 0: from all.", low=0)
    top_p: float = knob(
        1.0, "Sample from the likeliest tokens that hold this share of probability; 1: all.", low=0.01, high=1
    )
    max_new_tokens: int = knob(256, "Most tokens of a completion.", low=1)
    batch_size: int = knob(256, "Completions sampled side by side.", low=1)

    def problems(self) -> list[str]:
        problems = super().problems()
        if self.candidates and self.candidates < self.completions:
            problems.append(
                f"candidates is {self.candidates} and completions {self.completions}: at least as many must be sampled "
                "as are kept. Raise candidates, or set it to 0."
            )
        if self.max_new_tokens >= self.max_length:
            problems.append(
                f"max_new_tokens is {self.max_new_tokens} and max_length {self.max_length}: no room for a prompt. "
                "Raise max_length or lower max_new_tokens."
            )
        return problems


@dataclass(frozen=True, kw_only=True)
class BestOfN(Sample):
    """Sampling n completions a prompt and choosing the one that a reward model likes best."""

    completions: int = knob(16, "Completions sampled a prompt (n); the best of them is chosen.", low=1)

    def problems(self) -> list[str]:
        problems = super().problems()
        if self.candidates:
            problems.append(
                f"candidates is {self.candidates}: leaving out equal completions would change what the best of n is. "
                "Set it to 0."
            )
        return problems


@dataclass(frozen=True, kw_only=True)
class Score(Computing):
    """Scoring completions with a reward model."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(Sample):
    """Measuring a policy against its reference, and a reward model against rankings."""

    ties: str = knob("drop", "Pairs of equal rank: not counted, or half right.", choices=("drop", "half"))


STAGES: dict[str, type[Computing]] = {
    "pretrain": Pretrain,
    "sft": SFT,
    "reward_model": Reward,
    "ppo": PPO,
    "dpo": DPO,
    "sample": Sample,
    "best_of_n": BestOfN,
    "score": Score,
    "evaluate": Evaluate,
}
