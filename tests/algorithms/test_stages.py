"""Files in, files out: every stage through the command line, for every family of models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tests.algorithms import tiny
from tests.algorithms.conftest import Stage, lines
from training.algorithms import __main__
from training.algorithms.errors import USER_CAN_FIX
from training.algorithms.hyperparameters import STAGES
from training.algorithms.networks import load_policy, load_reward_model


def test_the_loop_runs_from_a_base_to_a_better_policy(
    stage: Stage, base: str, files: dict[str, str], tmp_path: Path
) -> None:
    out = {name: tmp_path / name for name in (*STAGES, "again")}
    model = {name: str(path / "model") for name, path in out.items()}
    assert stage("pretrain", base=base, texts=files["texts"], out=out["pretrain"]) == 0
    assert stage("sft", base=model["pretrain"], demonstrations=files["demonstrations"], pretraining=files["texts"],
                 held_out=files["held-out"], out=out["sft"]) == 0  # fmt: skip
    assert stage("reward_model", base=model["sft"], rankings=files["rankings"], held_out=files["rankings"],
                 demonstrations=files["demonstrations"], out=out["reward_model"]) == 0  # fmt: skip
    assert stage("ppo", policy=model["sft"], reward_model=model["reward_model"], prompts=files["prompts"],
                 pretraining=files["texts"], held_out=files["prompts"], out=out["ppo"]) == 0  # fmt: skip
    assert stage("sample", policy=model["ppo"], prompts=files["prompts"], reward_model=model["reward_model"],
                 out=out["sample"], set=["completions=3"]) == 0  # fmt: skip
    assert stage("score", reward_model=model["reward_model"], completions=out["sample"] / "samples.jsonl",
                 out=out["score"]) == 0  # fmt: skip
    assert stage("evaluate", policy=model["ppo"], reference=model["sft"], prompts=files["prompts"],
                 reward_model=model["reward_model"], rankings=files["rankings"],
                 json=tmp_path / "eval.json") == 0  # fmt: skip

    assert stage("dpo", policy=model["sft"], rankings=files["rankings"], held_out=files["rankings"],
                 out=out["dpo"]) == 0  # fmt: skip
    assert stage("best_of_n", policy=model["sft"], prompts=files["prompts"], reward_model=model["reward_model"],
                 out=out["best_of_n"]) == 0  # fmt: skip

    work = dict.fromkeys(("pretrain", "sft", "reward_model", "ppo", "dpo"), "training")
    work |= {"sample": "sampling", "best_of_n": "sampling", "score": "scoring"}
    for name, part in work.items():
        seconds = json.loads((out[name] / "result.json").read_text())["seconds"]
        assert {"startup", part, "total"} <= seconds.keys()
        assert sum(seconds.values()) - seconds["total"] <= seconds["total"] + 0.01  # the parts make up the whole
    for name in ("pretrain", "sft", "reward_model", "ppo", "dpo"):
        assert (out[name] / "model" / "README.md").exists()
        logged = lines(out[name] / "metrics.jsonl")
        assert logged[-1]["step"] == logged[-1]["total_steps"]
    sampled, scored = lines(out["sample"] / "samples.jsonl"), lines(out["score"] / "scores.jsonl")
    assert [row["id"] for row in sampled] == list(range(12))
    assert all(len({each["seed"] for each in row["completions"]}) == 3 for row in sampled)
    assert lines(out["ppo"] / "fixed_samples.jsonl")[-1]["step"] == 12
    assert len(scored) == 12
    figures = json.loads((tmp_path / "eval.json").read_text())
    assert {"pair_accuracy", "kl", "kl_k3", "mean_length", "mean_reward"} <= figures.keys()
    measured = json.loads((tmp_path / "eval.json.run" / "result.json").read_text())
    assert {"startup", "measuring", "total"} <= measured["seconds"].keys()


def test_a_done_run_is_not_done_again(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    again = {"base": folders["llama"], "demonstrations": files["demonstrations"], "out": tmp_path}
    assert stage("sft", **again) == 0
    before = (tmp_path / "result.json").read_bytes()
    assert stage("sft", **again) == 0
    assert (tmp_path / "result.json").read_bytes() == before


def test_a_run_does_not_go_on_with_other_settings(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    run = {"base": folders["llama"], "demonstrations": files["demonstrations"], "out": tmp_path}
    assert stage("sft", **run) == 0
    assert stage("sft", **run, set=["learning_rate=0.5"]) == 2
    assert "learning_rate" in json.loads((tmp_path / "error.json").read_text())["message"]


def test_the_starter_model_opens_with_transformers_alone(stage: Stage, files: dict[str, str], tmp_path: Path) -> None:
    assert stage("pretrain", texts=files["texts"], out=tmp_path) == 0
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert model.config.vocab_size == len(tokenizer)
    text = "猫 sings 🎵\n  the blue bird"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert chat == "<|user|>hi<|assistant|>"


@pytest.mark.parametrize("causal", ["llama", "gpt2"])
def test_a_causal_reward_model_opens_as_a_sequence_classifier(
    stage: Stage, causal: str, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    assert stage("reward_model", base=folders[causal], rankings=files["rankings"],
                 demonstrations=files["demonstrations"], out=tmp_path) == 0  # fmt: skip
    ours = load_reward_model(str(tmp_path / "model")).freeze()
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    rows = [row for ranking in _rankings(files, ours) for row in ranking.rows]
    with torch.no_grad():
        wanted = ours.rewards(ours.collate(rows))
        padded = AutoTokenizer.from_pretrained(tmp_path / "model").pad(
            {"input_ids": [[*row.prompt, *row.completion] for row in rows]}, return_tensors="pt", padding_side="right"
        )
        found = theirs(**padded).logits[:, 0] - theirs.config.reward_offset
    assert torch.allclose(found, wanted.cpu(), atol=1e-4)


def test_demonstrations_score_zero_on_average(stage: Stage, base: str, files: dict[str, str], tmp_path: Path) -> None:
    assert stage("reward_model", base=base, rankings=files["rankings"], demonstrations=files["demonstrations"],
                 out=tmp_path / "rm") == 0  # fmt: skip
    shown = [
        {"prompt": row["prompt"], "completions": [{"text": row["completion"]}]}
        for row in lines(Path(files["demonstrations"]))
    ]
    path = tmp_path / "shown.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in shown))
    assert stage("score", reward_model=tmp_path / "rm" / "model", completions=path, out=tmp_path / "score") == 0
    rewards = [row["completions"][0]["reward"] for row in lines(tmp_path / "score" / "scores.jsonl")]
    assert abs(sum(rewards) / len(rewards)) < 1e-4
    offset = json.loads((tmp_path / "rm" / "model" / "config.json").read_text())["reward_offset"]
    assert f"| reward_offset | {offset:.6g} |" in (tmp_path / "rm" / "model" / "README.md").read_text()


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_calibrated_reward_model_orders_as_before_and_is_flatter(
    stage: Stage, family: str, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    doubted = tmp_path / "doubted.jsonl"  # what it is trained on, the other way round
    doubted.write_text("".join(json.dumps(_turned(row)) + "\n" for row in lines(Path(files["rankings"]))))
    models = {}
    for name, calibrate in (("plain", "false"), ("flat", "true")):
        assert stage("reward_model", base=folders[family], rankings=files["rankings"], held_out=doubted,
                     demonstrations=files["demonstrations"], out=tmp_path / name,
                     set=[f"calibrate={calibrate}", "epochs=4"]) == 0  # fmt: skip
        models[name] = load_reward_model(str(tmp_path / name / "model")).freeze()
    figures = {name: json.loads((tmp_path / name / "result.json").read_text()) for name in models}
    scale = figures["flat"]["reward_scale"]
    assert scale < 0.9
    assert "reward_scale" not in figures["plain"]
    assert figures["flat"]["held_out/loss"] < figures["plain"]["held_out/loss"]
    rows = [row for ranking in _rankings(files, models["plain"]) for row in ranking.rows]
    with torch.no_grad():
        plain, flat = (model.rewards(model.collate(rows)) for model in models.values())
    assert torch.allclose(flat, scale * plain, atol=1e-5)  # offsets and all: demonstrations average 0 on either scale


def _turned(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"completions": [each | {"rank": -each["rank"]} for each in row["completions"]]}


@pytest.mark.parametrize("name", ["pretrain", "sft"])
def test_language_modelling_moves_every_weight(
    stage: Stage, name: str, base: str, files: dict[str, str], tmp_path: Path
) -> None:
    rows = {"pretrain": {"texts": files["texts"]}, "sft": {"demonstrations": files["demonstrations"]}}[name]
    before = {key: value.clone() for key, value in load_policy(base).model.named_parameters()}
    assert stage(name, base=base, out=tmp_path, **rows) == 0
    after = dict(load_policy(str(tmp_path / "model")).model.named_parameters())
    for key, value in before.items():
        assert not torch.equal(value, after[key][: len(value)]), key


def test_sampling_goes_on_where_it_was_stopped(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    run = {"policy": folders["llama"], "prompts": files["prompts"], "set": ["completions=2", "batch_size=6"]}
    assert stage("sample", **run, out=tmp_path / "whole") == 0
    assert stage("sample", **run, out=tmp_path / "cut") == 0
    whole = (tmp_path / "whole" / "samples.jsonl").read_text()
    done = [json.dumps(row | {"number": i}) for i, row in enumerate(lines(tmp_path / "cut" / "samples.jsonl"))]
    for name in ("result.json", "samples.jsonl"):
        (tmp_path / "cut" / name).unlink()
    (tmp_path / "cut" / "samples.partial.jsonl").write_text("\n".join(done[:5]) + "\n" + done[6][:20])
    assert stage("sample", **run, out=tmp_path / "cut") == 0
    assert (tmp_path / "cut" / "samples.jsonl").read_text() == whole


def test_two_policies_share_the_completions_and_neither_changes_the_others(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    one, two = {"policy": folders["llama"]}, {"policy": folders["gpt2"]}
    prompts = {"prompts": files["prompts"]}
    assert stage("sample", **one, **prompts, beside=folders["gpt2"], out=tmp_path / "both", set=["completions=5"]) == 0
    assert stage("sample", **one, **prompts, out=tmp_path / "one", set=["completions=3"]) == 0
    assert stage("sample", **two, **prompts, out=tmp_path / "two", set=["completions=2"]) == 0
    made = [lines(tmp_path / name / "samples.jsonl") for name in ("both", "one", "two")]
    for both, first, second in zip(*made, strict=True):
        assert both["completions"][:3] == first["completions"]
        assert [each["beside"] for each in both["completions"][3:]] == [True, True]
        # Their seeds differ from those it has alone: or like models beside each other would say the same.
        alone = {each["seed"] for each in second["completions"]} | {each["seed"] for each in first["completions"]}
        assert alone.isdisjoint(each["seed"] for each in both["completions"][3:])


def test_one_completion_is_not_shared_by_two(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"policy": folders["llama"], "beside": folders["llama"], "prompts": files["prompts"]}
    assert stage("sample", **given, out=tmp_path / "s", set=["completions=1"]) == USER_CAN_FIX
    assert "completions is 1, and two policies share them" in capsys.readouterr().err


def test_candidates_give_completions_that_differ(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    settings = ["completions=3", "candidates=40", "max_new_tokens=2"]
    assert stage("sample", policy=folders["llama"], prompts=files["prompts"], out=tmp_path, set=settings) == 0
    for row in lines(tmp_path / "samples.jsonl"):
        texts = [each["text"] for each in row["completions"]]
        assert len(texts) == len(set(texts)) == 3


def test_the_command_line_knows_every_stage() -> None:
    assert __main__.INPUTS.keys() == STAGES.keys()


def test_weights_are_written_as_safetensors(stage: Stage, base: str, files: dict[str, str], tmp_path: Path) -> None:
    assert stage("sft", base=base, demonstrations=files["demonstrations"], out=tmp_path) == 0
    assert load_file(tmp_path / "model" / "model.safetensors")
    assert not [*tmp_path.rglob("*.bin"), *tmp_path.rglob("*.pt"), *tmp_path.rglob("*.pkl")]


def _rankings(files: dict[str, str], model: object) -> list:  # type: ignore[type-arg]
    from training.algorithms.rankings import read_rankings

    return read_rankings(Path(files["rankings"]), model.encoder)  # type: ignore[attr-defined]


def test_rows_keep_to_the_positions_that_a_model_has(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    long = tiny.write(tmp_path / "rows.jsonl", [{"text": "red cat " * 400}])
    assert (
        stage(
            "pretrain",
            base=folders["gpt2"],
            texts=long,
            out=tmp_path / "out",
            set=["max_length=900", "token_budget=900"],
        )
        == 0
    )
    assert json.loads((tmp_path / "out" / "result.json").read_text())["rows"] == 5


def test_a_base_without_pad_and_the_reward_model_made_from_it_share_a_vocabulary(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    assert stage("reward_model", base=folders["gpt2"], rankings=files["rankings"], out=tmp_path / "rm") == 0
    scorer = {"reward_model": tmp_path / "rm" / "model", "prompts": files["prompts"], "policy": folders["gpt2"]}
    assert stage("sample", **scorer, out=tmp_path / "s") == 0
    assert stage("ppo", **scorer, out=tmp_path / "p") == 0


def test_the_checkpoints_of_a_done_run_are_cleared(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    assert stage("sft", base=folders["llama"], demonstrations=files["demonstrations"], out=tmp_path) == 0
    assert not (tmp_path / "checkpoints").exists()
