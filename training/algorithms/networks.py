"""Opening, using and saving models, causal and sequence-to-sequence alike.

Safetensors only, no code from a model's folder. N is the number of completion tokens in a batch, B its rows.
"""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.algorithms import adapters, attention, sharding, shared_prompts
from training.algorithms.data import Batch, Row, collate
from training.algorithms.encoder import Encoder, Tokenizer
from training.algorithms.errors import InputError
from training.algorithms.knobs import Computing, Optimisation
from training.algorithms.opening import config_of, open_classifier, open_weights, pad_apart, tokenizer_of, width_of
from training.algorithms.optimisation import device, recompute
from training.algorithms.packing import Packed
from training.algorithms.shared_prompts import Groups

HEAD = "score.safetensors"

Settings = TypeVar("Settings", bound=Computing)

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


class Network(nn.Module):
    """A transformers model with its tokenizer, and how rows become its inputs."""

    passes: ClassVar[tuple[str, ...]] = ()  # the methods that may be called where the network is in pieces
    assembled: tuple[Network, ...] = ()  # where it is: what `sharding.whole` fills

    def __init__(self, model: Any, tokenizer: Tokenizer, *, bare: bool = False) -> None:
        """bare: the model is a backbone, without a head of its own."""
        super().__init__()
        attention.use_it(model)
        self.model, self.bare = model, bare
        self.tokenizer = tokenizer
        self.seq2seq = bool(model.config.is_encoder_decoder)
        self.encoder = Encoder(tokenizer, seq2seq=self.seq2seq)
        self.pad = int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)
        self.start = int(model.config.decoder_start_token_id) if self.seq2seq else -1
        self.eval()  # as transformers opens its models; whether there is dropout `ready` says
        self.packs = self._takes_packed_rows()

    @property
    def config(self) -> Any:
        return self.model.config

    @property
    def device(self) -> torch.device:
        place: torch.device = self.model.device
        return place

    @property
    def spare(self) -> list[Row]:
        """A row for a pass that counts for nothing."""
        return [Row([self.encoder.eos], [self.encoder.eos])]

    def idle(self) -> Tensor:
        """The sum of what one of the `passes` gives for the spare row, ()."""
        raise NotImplementedError

    def collate(self, rows: list[Row]) -> Batch:
        return collate(rows, seq2seq=self.seq2seq, pad=self.pad, start=self.start, device=self.device)

    def lined_up(self, rows: list[Row]) -> Packed:
        """The rows one after another in one line, nothing padded: for models that `can_pack` them."""
        packed = shared_prompts.pack([[row] for row in rows], device=self.device)
        predicts = torch.zeros_like(packed.inputs["input_ids"], dtype=torch.bool)
        for row, end in zip(rows, packed.ends.tolist(), strict=True):
            predicts[0, end - len(row.completion) : end] = True
        targets = torch.tensor([token for row in rows for token in row.completion], device=self.device)
        return Packed(packed.inputs, predicts, targets)

    def states(self, batch: Batch | Packed) -> Tensor:
        """(B, T, width): the last layer's."""
        states: Tensor = self._backbone(**batch.inputs, use_cache=False).last_hidden_state
        return states

    @property
    def _backbone(self) -> Any:
        return self.model if self.bare else self.model.base_model

    def can_pack(self, groups: Groups) -> bool:
        """Whether the groups can be one packed row: no token may be further from another than the model looks back."""
        return self.packs and max(row.length for group in groups for row in group) <= shared_prompts.reach(self.config)

    @torch.no_grad()
    def _takes_packed_rows(self) -> bool:
        """Whether a packed row gives what its rows give one by one: found by trying, whatever the model is called."""
        if self.seq2seq or self.config._attn_implementation != attention.NAME:
            return False
        groups = shared_prompts.sample(self.config.vocab_size)
        batch = self.collate([row for group in groups for row in group])
        wanted = _at(self.states(batch), batch.ends)
        try:
            found = shared_prompts.ends(self._backbone, groups, device=self.device)
        except (RuntimeError, TypeError, ValueError):
            return False  # the model takes no position ids, or no mask of four dimensions
        return bool(torch.allclose(found, wanted, atol=1e-4 * float(wanted.abs().max())))

    def ready(self, settings: Optimisation) -> None:
        """Set for training, in pieces where they are asked for: eval mode leaves dropout out but not the gradients."""
        if settings.gradient_checkpointing:
            recompute(self.model)
        self.learn().train(settings.dropout > 0)
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = settings.dropout
        sharding.shard(self)

    def learn(self) -> Any:
        """Let training move what it may: all weights or, on a frozen base, its adapter and head; returns itself."""
        self.requires_grad_(requires_grad=False)
        for parameter in adapters.moving(self).values():
            parameter.requires_grad = True
        return self

    def twin(self) -> Any:
        """A copy that goes its own way; where there is an adapter, that alone (and the head) is copied.

        To be made before `ready` or `freeze`: what is in pieces cannot be copied.
        """
        return copy.deepcopy(self, {id(parameter): parameter for parameter in adapters.frozen(self).values()})

    def freeze(self) -> Any:
        """Set for use alone, in pieces where they are asked for; returns itself."""
        self.requires_grad_(requires_grad=False)
        sharding.shard(self)
        return self.eval()

    def _save(self, folder: Path) -> None:
        if adapters.is_on(self):
            self.model.save_pretrained(folder, state_dict=adapters.merged(self.model))
            adapters.save(self.model, folder)
        else:
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


class Policy(Network):
    """A language model that answers prompts."""

    passes = ("logits",)

    def __init__(self, model: Any, tokenizer: Tokenizer) -> None:
        super().__init__(model, tokenizer)
        self._plain_head = not self.seq2seq and self._head_is_plain()

    def logits(self, batch: Batch | Packed) -> Tensor:
        """(N, V): for each completion token, the logits that predict it."""
        if self._plain_head:
            # The head is the dearest layer of a small model: run it where something is predicted, and nowhere else.
            logits: Tensor = self.model.get_output_embeddings()(self.states(batch)[batch.predicts])
            return logits
        full: Tensor = self.model(**batch.inputs, use_cache=False).logits
        return full[batch.predicts]

    def idle(self) -> Tensor:
        return self.logits(self.collate(self.spare)).sum()

    @torch.no_grad()
    def _head_is_plain(self) -> bool:
        """Whether logits are the output embedding of the last states and no more (no scale, no soft cap)."""
        ids = torch.tensor([[1, 2, 3, 4]], device=self.model.device) % self.config.vocab_size
        states = self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        wanted = self.model(input_ids=ids, use_cache=False).logits
        return bool(torch.allclose(self.model.get_output_embeddings()(states), wanted, atol=1e-5))

    def save(self, folder: Path) -> None:
        self._save(folder)


class Scorer(Network):
    """A transformer with one number for each state: a reward model, or the value model that begins as its copy.

    A causal one is a …ForSequenceClassification of one label; where the family has none that reads the last state (all
    sequence-to-sequence ones), a bare model and a linear head in a file of its own.
    """

    passes = ("rewards_by_prompt", "values")

    def __init__(self, model: Any, tokenizer: Tokenizer, *, head: nn.Linear | None = None) -> None:
        super().__init__(model, tokenizer, bare=head is not None)
        self.head = head
        self.offset = float(getattr(model.config, "reward_offset", 0.0))

    @property
    def score(self) -> nn.Linear:
        score: nn.Linear = self.head if self.head is not None else self.model.score
        return score

    def rewards(self, batch: Batch) -> Tensor:
        """(B,): the score read at each row's last token, EOS where it ended, less the offset."""
        return self._read(_at(self.states(batch), batch.ends))

    def rewards_by_prompt(self, groups: Groups) -> Tensor:
        """(R,): the reward of every row, group by group. The rows of a group have one prompt, which is run once."""
        if self.can_pack(groups):
            return self._read(shared_prompts.ends(self._backbone, groups, device=self.device))
        batch = self.collate([row for group in groups for row in group])
        return self._read(_at(self._decoded(batch, groups), batch.ends)) if self.seq2seq else self.rewards(batch)

    def idle(self) -> Tensor:
        return self.rewards_by_prompt([self.spare]).sum()

    def places(self, groups: Groups) -> int:
        """Tokens, padding included, that `rewards_by_prompt` runs: what a budget of tokens is spent on."""
        rows = [row for group in groups for row in group]
        if self.can_pack(groups):
            return sum(len(group[0].prompt) for group in groups) + sum(len(row.completion) for row in rows)
        if self.seq2seq:
            prompt = max(len(group[0].prompt) for group in groups)
            return len(groups) * prompt + len(rows) * (1 + max(len(row.completion) for row in rows))
        return len(rows) * max(row.length for row in rows)

    def values(self, batch: Batch | Packed) -> Tensor:
        """(N,): the score read before each completion token, less the offset."""
        return self._read(self.states(batch)[batch.predicts])

    def _read(self, states: Tensor) -> Tensor:
        """The score in each state, less the offset. states: (…, width) → (…,), in fp32 at least."""
        rewards: Tensor = self.score(states)[..., 0]
        return rewards.to(torch.promote_types(rewards.dtype, torch.float32)) - self.offset

    def _decoded(self, batch: Batch, groups: Groups) -> Tensor:
        """(R, T, width): what the decoder makes of the batch's rows, the encoder having read each prompt once."""
        sizes = torch.tensor([len(group) for group in groups], device=self.device)
        owners = torch.arange(len(groups), device=self.device).repeat_interleave(sizes)
        first = sizes.cumsum(0) - sizes
        inputs = dict(batch.inputs)
        ids, mask = inputs.pop("input_ids"), inputs["attention_mask"]
        read = self.model.get_encoder()(input_ids=ids[first], attention_mask=mask[first]).last_hidden_state
        states: Tensor = self.model(encoder_outputs=(read[owners],), **inputs, use_cache=False).last_hidden_state
        return states

    def save(self, folder: Path) -> None:
        self.model.config.reward_offset = self.offset
        self._save(folder)
        if self.head is not None:
            save_file({"weight": self.head.weight.detach().cpu().contiguous()}, folder / HEAD)


def load_policy(name: str, *, lora: Optimisation | None = None) -> Policy:
    """The policy in a folder or on the hub. Raises InputError, saying what to do, where it cannot be opened.

    Settings that ask for `lora` get it on frozen weights, with the adapter that it has or a new one.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = config_of(name)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    if any(each.endswith(("ForSequenceClassification", "ForMaskedLM")) for each in config.architectures or ()):
        raise InputError(
            f"{name} holds a {config.architectures[0]}. Give a model that writes text (a causal or seq2seq one)."
        )
    model = open_weights(kind, name, config, lora)
    if config.is_encoder_decoder and getattr(config, "decoder_start_token_id", None) is None:
        raise InputError(
            f"{name} does not say what its decoder starts with. Set decoder_start_token_id in its config.json."
        )
    return Policy(model.to(_first_place()), tokenizer_of(name, model))


def load_reward_model(name: str, *, lora: Optimisation | None = None) -> Scorer:
    """The reward model in a folder; as `load_policy`. Raises InputError where it is none."""
    from transformers import AutoModel, AutoModelForSequenceClassification

    config = config_of(name)
    if (Path(name) / HEAD).exists():
        model = open_weights(AutoModel, name, config, lora)
        head = nn.Linear(width_of(config), 1, bias=False)
        head.load_state_dict(load_file(Path(name) / HEAD))
        return Scorer(model.to(_first_place()), tokenizer_of(name, model), head=head.to(_first_place()))
    if (
        not any(each.endswith("ForSequenceClassification") for each in config.architectures or ())
        or config.num_labels != 1
    ):
        raise InputError(
            f"{name} holds a {', '.join(config.architectures or ['model of no kind'])}, {config.num_labels} labels. "
            "Give a reward model: the model folder of a reward_model run, or a sequence classifier of one label."
        )
    model = open_weights(AutoModelForSequenceClassification, name, config, lora)
    return Scorer(model.to(_first_place()), tokenizer_of(name, model))


def new_reward_model(name: str, *, seed: int, lora: Optimisation | None = None) -> Scorer:
    """A reward model that starts from a policy's weights, with a new head.

    The head is drawn with deviation 1 / sqrt(width + 1): scores begin near unit size (arXiv 2403.17031, detail 14).
    """
    from transformers import AutoModel, AutoModelForSequenceClassification

    config = config_of(name)
    generator = torch.Generator().manual_seed(seed)
    width = width_of(config)
    weights = torch.randn(1, width, generator=generator) / (width + 1) ** 0.5
    config.num_labels, config.reward_offset = 1, 0.0
    model = (
        None if config.is_encoder_decoder else open_classifier(AutoModelForSequenceClassification, name, config, lora)
    )
    head = None
    if model is None:
        model = open_weights(AutoModel, name, config, lora)
        head = nn.Linear(width, 1, bias=False).to(_first_place())
    tokenizer = tokenizer_of(name, model)
    pad_apart(model, tokenizer)
    scorer = Scorer(model.to(_first_place()), tokenizer, head=head)
    with torch.no_grad():
        scorer.score.weight.copy_(weights)
    return scorer


def same_vocabulary(one: Network, other: Network, *, names: tuple[str, str]) -> None:
    """Raises InputError unless both write text as the same token ids."""
    pads = {one.tokenizer.pad_token, other.tokenizer.pad_token}  # `pad_apart` may have added it to one of them
    differing = one.tokenizer.get_vocab().items() ^ other.tokenizer.get_vocab().items()
    if {token for token, _ in differing} - pads:
        raise InputError(
            f"{names[0]} and {names[1]} have different vocabularies; scores are read from the generated token ids. "
            "Train the reward model from the same base."
        )


def within_positions(settings: Settings, network: Network) -> Settings:
    """The settings, max_length lowered to the positions that the model has. Raises InputError where they then clash."""
    positions = getattr(network.config, "max_position_embeddings", None)
    if not positions or positions >= settings.max_length:
        return settings
    print(f"The model has {positions} positions: max_length is {positions}, not {settings.max_length}.", flush=True)
    lowered = dataclasses.replace(settings, max_length=positions)
    if problems := lowered.problems():
        raise InputError(" ".join(problems))
    return lowered


def _first_place() -> torch.device:
    """Where a model is opened: one that will be in pieces may be too large for the device as a whole."""
    return torch.device("cpu") if sharding.is_on() else device()


def _at(states: Tensor, ends: Tensor) -> Tensor:
    """(B, T, width) → (B, width): each row's state at `ends`, (B,)."""
    return states[torch.arange(len(states), device=states.device), ends]
