"""LoRA: adapters on a frozen base, one base for all the networks of PPO, and ordinary folders at the end."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from tests.algorithms import tiny
from tests.algorithms.conftest import Stage
from training.algorithms import adapters, losses, ppo, sft
from training.algorithms.data import Row
from training.algorithms.hyperparameters import PPO, SFT
from training.algorithms.networks import Policy, Scorer, load_policy, load_reward_model
from training.algorithms.opening import pad_apart
from training.algorithms.presets import resolve
from training.algorithms.run_folder import Run

LORA = ["lora_rank=4", "lora_alpha=8", "learning_rate=1e-2"]
ROWS = [Row([9, 8, 7], [20, 21, 22]), Row([10], [30, 31, 32, 33])]


@pytest.fixture(scope="module", params=tiny.FAMILIES)
def made(
    request: pytest.FixtureRequest, folders: dict[str, Path], files: dict[str, str], tmp_path_factory: Any
) -> dict[str, str]:
    """A base, and what SFT and reward modelling with LoRA made of it, one from the other."""
    from tests.algorithms.conftest import start

    base, root = folders[request.param], tmp_path_factory.mktemp(request.param)
    model = {name: str(root / name / "model") for name in ("sft", "rm")}
    assert start("sft", base=base, demonstrations=files["demonstrations"], out=root / "sft", set=LORA).wait() == 0
    assert start("reward_model", base=model["sft"], rankings=files["rankings"], demonstrations=files["demonstrations"],
                 out=root / "rm", set=LORA).wait() == 0  # fmt: skip
    return {"base": str(base), **model}


def settings(**values: Any) -> PPO:
    found = resolve("ppo", preset="test", values={"lora_rank": 4, "learning_rate": 1e-2, **values})
    assert isinstance(found, PPO)
    return found


def trainer(made: dict[str, str], **values: Any) -> ppo.Trainer:
    chosen = settings(**values)
    policy, reference = (load_policy(made["sft"], lora=chosen) for _ in range(2))
    scorer = load_reward_model(made["rm"], lora=chosen)
    adapters.share_base(policy.model, reference.model)
    adapters.share_base(policy.model, scorer.model)
    prompts = [policy.encoder.prompt(each) for each in tiny.sentences(12)]
    return ppo.Trainer(chosen, policy=policy, reference=reference, reward_model=scorer, prompts=prompts)


@torch.no_grad()
def logprobs(policy: Policy) -> torch.Tensor:
    batch = policy.collate(ROWS)
    return losses.token_logprobs(policy.logits(batch), batch.targets)


@torch.no_grad()
def rewards(scorer: Scorer) -> torch.Tensor:
    return scorer.rewards(scorer.collate(ROWS))


def test_adapters_merged_into_the_weights_say_the_same(made: dict[str, str]) -> None:
    apart, plain = load_policy(made["sft"], lora=settings()), load_policy(made["sft"])
    assert adapters.is_on(apart)
    assert not adapters.is_on(plain)
    assert torch.allclose(logprobs(apart), logprobs(plain), atol=1e-5)
    base = load_policy(made["base"])
    assert not torch.allclose(logprobs(apart), logprobs(base), atol=1e-2)  # it has learnt something
    judge, merged = load_reward_model(made["rm"], lora=settings()), load_reward_model(made["rm"])
    assert judge.offset == merged.offset != 0
    assert torch.allclose(rewards(judge), rewards(merged), atol=1e-5)


def test_fine_tuning_moves_the_adapters_alone(made: dict[str, str], files: dict[str, str], tmp_path: Path) -> None:
    before, after = load_policy(made["base"]), load_policy(made["sft"], lora=settings())
    pad_apart(before.model, before.tokenizer)
    was = dict(before.model.named_parameters())
    for name, now in after.model.named_parameters():
        if ".lora_" not in name:
            assert torch.equal(now, was[name.replace(".base_layer.", ".")]), name
        elif ".lora_B." in name:
            assert now.abs().max() > 0, name
    assert adapters.moving(after).keys() == {name for name, _ in after.named_parameters() if ".lora_" in name}


def test_ppo_has_one_base_and_moves_adapters_and_the_values_head(made: dict[str, str], tmp_path: Path) -> None:
    trained = trainer(made, total_episodes=8, ema_decay=0.9)
    networks = (trained.policy, trained.reference, trained.reward_model, trained.value, trained.average)
    bases = [set(map(id, adapters.frozen(each).values())) for each in networks]
    assert bases[0] == bases[1] == bases[4]
    assert bases[2] == bases[3] <= bases[0]  # a reward model has no output layer
    before = [copy.deepcopy(dict(each.named_parameters())) for each in networks]
    ppo.fit(Run(tmp_path), trained)
    for network, was in zip(networks, before, strict=True):
        learns = network not in (trained.reference, trained.reward_model)
        for name, now in network.named_parameters():
            moves = learns and name in adapters.moving(network)
            assert torch.equal(now, was[name]) is not moves, name


def test_the_reference_is_the_fine_tuned_policy_and_the_value_the_reward_model(made: dict[str, str]) -> None:
    trained = trainer(made)
    assert torch.equal(logprobs(trained.reference), logprobs(trained.policy))
    assert torch.allclose(logprobs(trained.reference), logprobs(load_policy(made["sft"])), atol=1e-5)
    assert torch.equal(rewards(trained.value), rewards(trained.reward_model))


def test_ppo_with_adapters_ends_in_an_ordinary_folder(
    made: dict[str, str], stage: Stage, files: dict[str, str], tmp_path: Path
) -> None:
    assert stage("ppo", policy=made["sft"], reward_model=made["rm"], prompts=files["prompts"], out=tmp_path,
                 set=["lora_rank=4", "total_episodes=8"]) == 0  # fmt: skip
    assert stage("sample", policy=tmp_path / "model", prompts=files["prompts"], reward_model=made["rm"],
                 out=tmp_path / "s") == 0  # fmt: skip
    again = load_policy(str(tmp_path / "model"), lora=settings())
    assert torch.allclose(logprobs(again), logprobs(load_policy(str(tmp_path / "model"))), atol=1e-5)
    assert json.loads((tmp_path / "model" / "adapter" / "adapter_config.json").read_text())[
        "base_model_name_or_path"
    ] == made["base"]  # fmt: skip
    assert "adapter/" in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.parametrize("made", ["llama"], indirect=True)
def test_peft_opens_the_adapters_on_their_base(made: dict[str, str]) -> None:
    policy = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(made["base"]), Path(made["sft"]) / "adapter"
    )
    ours, theirs = load_policy(made["sft"]), Policy(policy.merge_and_unload(), load_policy(made["sft"]).tokenizer)
    assert torch.allclose(logprobs(ours), logprobs(theirs), atol=1e-5)
    classifier = AutoModelForSequenceClassification.from_pretrained(made["base"], num_labels=1)
    judge = PeftModel.from_pretrained(classifier, Path(made["rm"]) / "adapter").merge_and_unload()
    found = load_reward_model(made["rm"])
    opened = Scorer(judge, found.tokenizer)
    opened.offset = found.offset
    assert torch.allclose(rewards(opened), rewards(found), atol=1e-5)


@pytest.mark.parametrize("made", ["llama"], indirect=True)
def test_an_adapter_whose_base_is_gone_leaves_the_merged_weights(
    made: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = Path(shutil.copytree(made["sft"], tmp_path / "sft"))
    described = copied / "adapter" / "adapter_config.json"
    described.write_text(described.read_text().replace(made["base"], "/nowhere/base"))
    moved = load_policy(str(copied), lora=settings())
    assert "/nowhere/base" in capsys.readouterr().out
    assert torch.allclose(logprobs(moved), logprobs(load_policy(made["sft"])), atol=1e-5)


@pytest.mark.parametrize("made", ["llama"], indirect=True)
def test_a_checkpoint_of_adapters_leaves_the_base_out(
    made: dict[str, str], files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.algorithms.run_folder.shutil.rmtree", lambda *arguments, **options: None)
    chosen = resolve("sft", preset="test", values={"lora_rank": 4})
    assert isinstance(chosen, SFT)
    sft.sft(Run(tmp_path), chosen, base=made["base"], demonstrations=files["demonstrations"])
    saved = load_file(sorted(tmp_path.glob("checkpoints/step-*"))[-1] / "state.safetensors")
    named = [name for name in saved if name.startswith("module/") and "rotary" not in name]
    assert named
    assert all(".lora_" in name for name in named)


def test_layers_that_are_not_there_are_refused(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    options = {"base": folders["llama"], "demonstrations": files["demonstrations"], "out": tmp_path}
    assert stage("sft", **options, set=["lora_rank=4", "lora_targets=q_proj,nonsense_only"]) == 0
    assert stage("sft", **options | {"out": tmp_path / "b"}, set=["lora_rank=4", "lora_targets=nonsense"]) == 2
    assert "Change lora_targets" in json.loads((tmp_path / "b" / "error.json").read_text())["message"]
    assert stage("pretrain", texts=files["texts"], out=tmp_path / "c", set=["lora_rank=4"]) == 2
