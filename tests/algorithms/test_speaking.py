"""An answer as it is said: the tokens of `sampling`, no broken characters, log-probabilities of a plain pass."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from tests.algorithms import tiny
from tests.algorithms.taught import CHINESE, judge
from tests.algorithms.test_networks import any_time
from training.algorithms import sampling, speaking
from training.algorithms.completions import rewards_of
from training.algorithms.data import Row
from training.algorithms.hyperparameters import Score
from training.algorithms.networks import Policy, load_policy, load_reward_model
from training.algorithms.speaking import UNFINISHED, Cell, Pieces

PROMPT = [20, 21, 22, 23]


@pytest.fixture(scope="module", params=tiny.FAMILIES)
def policy(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Policy:
    loaded: Policy = load_policy(str(folders[request.param])).freeze()
    return loaded


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_it_says_what_sampling_draws_with_the_same_seed(policy: Policy, temperature: float) -> None:
    settings = sampling.Settings(max_new_tokens=24, temperature=temperature)
    for seed in range(5):
        [[drawn]] = sampling.sample(policy, [PROMPT], seeds=[[seed]], settings=settings)
        assert list(speaking.speak(policy, PROMPT, seed=seed, settings=settings)) == drawn.tokens


def test_nothing_is_said_after_the_end(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "choose", lambda logits, uniform, settings: torch.tensor([policy.encoder.eos]))
    said = speaking.speak(policy, PROMPT, seed=0, settings=sampling.Settings(max_new_tokens=9))
    assert list(said) == [policy.encoder.eos]


def test_characters_that_several_tokens_make_up_are_told_whole(policy: Policy) -> None:
    tokens = policy.encoder.completion(CHINESE)
    assert len(tokens) > len(CHINESE)  # the tokenizer knows none of these characters
    pieces = Pieces(policy.encoder.decode)
    told = [pieces.add(token) for token in tokens]
    assert "".join(told) + pieces.rest() == CHINESE
    assert not any(UNFINISHED in piece for piece in told)
    assert "中" in told


@given(tokens=st.lists(st.integers(3, 290), max_size=40))
@any_time
def test_the_pieces_are_the_text_whatever_the_tokens(policy: Policy, tokens: list[int]) -> None:
    pieces = Pieces(policy.encoder.decode)
    told = [pieces.add(token) for token in tokens]
    assert "".join([*told, pieces.rest()]) == policy.encoder.decode(tokens)
    assert not any(piece.endswith(UNFINISHED) for piece in told)
    shown = speaking.cells(policy.encoder.decode, tokens)
    assert "".join(cell.text for cell in shown) == policy.encoder.decode(tokens)
    assert sum(cell.tokens for cell in shown) == len(tokens)


def test_a_character_is_one_cell_and_the_end_another(policy: Policy) -> None:
    [first, last] = speaking.cells(policy.encoder.decode, policy.encoder.completion("中"))
    assert first.text == "中"
    assert first.tokens > 1
    assert last == Cell("", 1)


def test_log_probabilities_are_those_of_a_plain_forward_pass(folders: dict[str, Path]) -> None:
    for family in ("llama", "gpt2"):
        policy = load_policy(str(folders[family])).freeze()
        plain = AutoModelForCausalLM.from_pretrained(folders[family], dtype=torch.float32).eval()
        said = list(speaking.speak(policy, PROMPT, seed=3, settings=sampling.Settings(max_new_tokens=12)))
        with torch.no_grad():
            everything = plain(torch.tensor([[*PROMPT, *said]])).logits[0].log_softmax(-1)
        wanted = [float(everything[len(PROMPT) + i - 1, token]) for i, token in enumerate(said)]
        assert speaking.logprobs(policy, Row(PROMPT, said)) == pytest.approx(wanted, abs=1e-4)


def test_a_reward_is_what_scoring_a_file_gives(folders: dict[str, Path], tmp_path: Path) -> None:
    scorer = load_reward_model(str(judge(folders["llama"], tmp_path / "judge"))).freeze()
    row = Row(scorer.encoder.prompt("one dog"), scorer.encoder.completion("good cat"))
    assert speaking.reward(scorer, row) == pytest.approx(
        rewards_of(scorer, [row], settings=Score(precision="fp32"))[0], abs=1e-5
    )


def test_a_long_prompt_is_cut_at_its_beginning(folders: dict[str, Path]) -> None:
    policy = load_policy(str(folders["llama"])).freeze()  # 256 positions
    assert speaking.fitted(policy, list(range(500)), max_new_tokens=56) == list(range(300, 500))
    assert speaking.fitted(policy, PROMPT, max_new_tokens=56) == PROMPT


def test_vocabularies_are_told_apart_but_for_a_pad_that_training_added(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    one = load_policy(str(folders["gpt2"]))  # its pad is its end
    padded = load_policy(str(folders["gpt2"]))
    padded.tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    assert speaking.vocabulary(one) == speaking.vocabulary(padded)
    padded.tokenizer.add_tokens(["zebra"])
    assert speaking.vocabulary(one) != speaking.vocabulary(padded)
