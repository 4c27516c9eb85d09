"""Sampling: the model's own distribution, the same tokens whoever is sampled beside, EOS and nothing after it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig, MistralForCausalLM, Qwen2ForCausalLM

from tests.algorithms.test_networks import any_time, ids
from training.algorithms import llama_decoding, losses, sampling
from training.algorithms.data import Row
from training.algorithms.errors import Stopped
from training.algorithms.networks import Policy, load_policy
from training.algorithms.sampling import Settings

PROMPTS = [[9, 8, 7], [20, 21, 22, 23, 24, 25], [30]]


@pytest.fixture(scope="module", params=["llama", "gpt2", "t5"])
def policy(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Policy:
    loaded: Policy = load_policy(str(folders[request.param])).freeze()
    return loaded


def draw(policy: Policy, prompts: list[list[int]], seeds: list[list[int]], **options: float) -> list:  # type: ignore[type-arg]
    return sampling.sample(policy, prompts, seeds=seeds, settings=Settings(**{"max_new_tokens": 12} | options))


def test_the_likeliest_tokens_are_those_of_generate(policy: Policy) -> None:
    greedy = GenerationConfig(
        max_new_tokens=12, do_sample=False, eos_token_id=policy.encoder.eos, pad_token_id=policy.pad,
        decoder_start_token_id=policy.start if policy.seq2seq else None,
    )  # fmt: skip
    for prompt, (found,) in zip(PROMPTS, draw(policy, PROMPTS, [[0]] * 3, temperature=0), strict=True):
        wanted = policy.model.generate(torch.tensor([prompt], device=policy.model.device), generation_config=greedy)[
            0
        ].tolist()
        wanted = wanted[1 if policy.seq2seq else len(prompt) :]
        assert found.tokens == wanted


def test_a_completion_does_not_depend_on_what_is_sampled_beside_it(policy: Policy) -> None:
    together = draw(policy, PROMPTS, [[1, 2], [3, 4], [5, 6]])
    for prompt, seeds, found in zip(PROMPTS, ([1, 2], [3, 4], [5, 6]), together, strict=True):
        for seed, each in zip(seeds, found, strict=True):
            assert draw(policy, [prompt], [[seed]])[0][0].tokens == each.tokens
            assert each.seed == seed


@given(prompts=st.lists(ids, min_size=1, max_size=5), seed=st.integers(0, 10_000))
@any_time
def test_nor_on_padding_nor_on_who_has_finished(policy: Policy, prompts: list[list[int]], seed: int) -> None:
    seeds = [[seed + 2 * i, seed + 2 * i + 1] for i in range(len(prompts))]

    def often_ended(logits: torch.Tensor, uniform: torch.Tensor, settings: Settings) -> torch.Tensor:
        chosen = choose(logits, uniform, settings)
        return torch.where(chosen % 4 == 0, policy.encoder.eos, chosen)

    choose = sampling.choose
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "choose", often_ended)
        together = draw(policy, prompts, seeds)
        for prompt, row, found in zip(prompts, seeds, together, strict=True):
            assert [each.tokens for each in draw(policy, [prompt], [row])[0]] == [each.tokens for each in found]
            for each in found:
                batch = policy.collate([Row(prompt, each.tokens)])
                wanted = losses.token_logprobs(policy.logits(batch), batch.targets).sum()
                assert each.logprob == pytest.approx(wanted.item(), abs=1e-3)


def test_the_logprob_is_that_of_a_forward_pass(policy: Policy) -> None:
    for prompt, row in zip(PROMPTS, draw(policy, PROMPTS, [[1, 2], [3, 4], [5, 6]]), strict=True):
        for each in row:
            batch = policy.collate([Row(prompt, each.tokens)])
            wanted = losses.token_logprobs(policy.logits(batch), batch.targets).sum()
            assert each.logprob == pytest.approx(wanted.item(), abs=1e-3)


def test_a_finished_completion_ends_in_its_only_eos(policy: Policy) -> None:
    eos = policy.encoder.eos
    sampled = [each for row in draw(policy, PROMPTS[:1], [list(range(400))], max_new_tokens=20) for each in row]
    assert any(each.finished for each in sampled)
    for each in sampled:
        assert each.finished == (each.tokens[-1] == eos)
        assert eos not in each.tokens[:-1]
        assert each.finished or len(each.tokens) == 20


def test_first_tokens_follow_the_models_distribution(policy: Policy) -> None:
    count = 6000
    sampled = draw(policy, [PROMPTS[0]], [list(range(count))], max_new_tokens=1)[0]
    batch = policy.collate([Row(PROMPTS[0], [5])])
    wanted = policy.logits(batch)[0].softmax(-1).double().cpu().numpy() * count
    found = np.bincount([each.tokens[0] for each in sampled], minlength=len(wanted))
    common = wanted >= 5
    wanted, found = np.append(wanted[common], wanted[~common].sum()), np.append(found[common], found[~common].sum())
    chi_square = ((found - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum()
    degrees = len(wanted) - 1
    assert chi_square < degrees + 4 * (2 * degrees) ** 0.5  # four deviations


def test_second_tokens_follow_the_distribution_after_the_first(policy: Policy) -> None:
    sampled = draw(policy, [PROMPTS[1]], [list(range(6000))], max_new_tokens=2, top_k=4)[0]
    first = Counter(each.tokens[0] for each in sampled).most_common(1)[0][0]
    seconds = Counter(each.tokens[1] for each in sampled if each.tokens[0] == first and len(each.tokens) == 2)
    batch = policy.collate([Row(PROMPTS[1], [first, 5])])
    top = policy.logits(batch)[1].topk(4)
    wanted = top.values.softmax(-1).double().cpu().numpy() * seconds.total()
    found = np.array([seconds[token] for token in top.indices.tolist()])
    assert found.sum() == seconds.total() > 500
    assert ((found - wanted) ** 2 / wanted).sum() < 3 + 4 * 6**0.5  # four deviations


@pytest.mark.parametrize("kind", [Qwen2ForCausalLM, MistralForCausalLM])
def test_other_models_built_as_llama_is_are_decoded_alike(kind: Any, folders: dict[str, Path]) -> None:
    torch.manual_seed(0)
    config = kind.config_class(
        vocab_size=300, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, initializer_range=0.1, rope_theta=500.0, sliding_window=None,
    )  # fmt: skip
    made = Policy(kind(config), load_policy(str(folders["llama"])).tokenizer).freeze()
    for name, bias in made.model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(bias)
    assert llama_decoding.fits(made.model)
    test_the_likeliest_tokens_are_those_of_generate(made)
    test_the_logprob_is_that_of_a_forward_pass(made)


def test_a_model_with_something_replaced_goes_the_general_way(folders: dict[str, Path]) -> None:
    policy = load_policy(str(folders["llama"])).freeze()
    assert llama_decoding.fits(policy.model)
    plain = draw(policy, PROMPTS, [[1]] * 3)
    projection = policy.model.model.layers[1].mlp.up_proj
    policy.model.model.layers[1].mlp.up_proj = torch.nn.Sequential(projection)
    assert not llama_decoding.fits(policy.model)
    assert [row[0].tokens for row in draw(policy, PROMPTS, [[1]] * 3)] == [row[0].tokens for row in plain]


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=40), st.floats(0, 0.999999))
def test_the_token_is_the_first_whose_cumulated_probability_passes(logits: list[float], uniform: float) -> None:
    chosen = sampling.choose(
        torch.tensor([logits]), torch.tensor([uniform], dtype=torch.float64), Settings(max_new_tokens=1)
    )
    cumulated = torch.tensor(logits).softmax(-1).double().cumsum(-1)
    passed = uniform * cumulated[-1].item()
    # Sums of blocks round otherwise than one long sum does, in the sixteenth digit.
    assert cumulated[chosen[0]] > passed - 1e-12
    assert chosen[0] == 0 or cumulated[chosen[0] - 1] <= passed + 1e-12


def test_a_token_of_no_probability_is_never_chosen() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).repeat(5, 1)
    uniform = torch.tensor([0.0, 0.499, 0.5, 0.75, 1 - 2**-53], dtype=torch.float64)
    assert sampling.choose(logits, uniform, Settings(max_new_tokens=1)).tolist() == [1, 1, 3, 3, 3]


def test_top_k_and_top_p_leave_out_the_rest() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().repeat(200, 1)
    uniform = torch.linspace(0, 0.999, 200, dtype=torch.float64)
    only_two = sampling.choose(logits, uniform, Settings(max_new_tokens=1, top_k=2))
    assert set(only_two.tolist()) == {0, 1}
    nucleus = sampling.choose(logits, uniform, Settings(max_new_tokens=1, top_p=0.9))
    assert set(nucleus.tolist()) == {0, 1, 2}
    assert (nucleus == 0).float().mean().item() == pytest.approx(0.5 / 0.95, abs=0.01)


def test_sampling_stops_when_asked(folders: dict[str, Path]) -> None:
    policy = load_policy(str(folders["llama"])).freeze()
    with pytest.raises(Stopped):
        sampling.sample(policy, PROMPTS, seeds=[[1]] * 3, settings=Settings(max_new_tokens=4), should_stop=lambda: True)


def test_seeds_differ_and_stay() -> None:
    seeds = {sampling.seed_for(0, "prompt", k) for k in range(10_000)}
    assert len(seeds) > 9_990
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert sampling.seed_for(0, "prompt", 1) == 194220804


def test_finished_rows_are_no_longer_computed(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    forward = sampling.Decoding.next
    monkeypatch.setattr(
        sampling.Decoding, "next", lambda self, tokens: sizes.append(len(tokens)) or forward(self, tokens)
    )
    lengths = [len(each.tokens) for each in draw(policy, PROMPTS[:1], [list(range(300))], max_new_tokens=40)[0]]
    assert sizes == sorted(sizes, reverse=True)
    going = [sum(length > t for length in lengths) for t in range(1, 1 + len(sizes))]
    assert all(alive <= size <= alive * 16 / 15 + 1 for alive, size in zip(going, sizes, strict=True))
