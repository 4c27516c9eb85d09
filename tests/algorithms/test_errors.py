"""What a person can put right ends with exit code 2 and an error.json that says what was found and what to do."""

from __future__ import annotations

import errno
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, BertConfig, BertForMaskedLM, ViTConfig, ViTModel

from tests.algorithms import tiny
from tests.algorithms.conftest import Runs, Stage, fresh
from training.algorithms import checkpoints, run_folder
from training.algorithms.errors import USER_CAN_FIX
from training.algorithms.networks import Policy
from training.algorithms.run_folder import Run

Fails = Callable[..., str]


@pytest.fixture
def fails(stage: Stage, tmp_path: Path) -> Fails:
    """Run a stage that must fail; the message of its error.json."""

    def run(*arguments: Any, **options: Any) -> str:
        out = tmp_path / "out"
        assert stage(*arguments, **options, out=out) == USER_CAN_FIX
        assert not (out / "result.json").exists()
        message: str = json.loads((out / "error.json").read_text())["message"]
        return message

    return run


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders["llama"], tmp_path / "copy"))


def test_a_missing_model_folder(fails: Fails, files: dict[str, str]) -> None:
    assert "no model folder ./nowhere" in fails("sft", base="./nowhere", demonstrations=files["demonstrations"])


def test_a_folder_without_config(fails: Fails, files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no config.json" in fails("sft", base=tmp_path / "empty", demonstrations=files["demonstrations"])


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(("name", "why"), [("pytorch_model.bin", "no *.safetensors"), ("model.safetensors", "opened")])
def test_a_pickle_for_weights_is_refused_unopened_whatever_it_is_called(
    fails: Fails, files: dict[str, str], copy: Path, tmp_path: Path, name: str, why: str
) -> None:
    (copy / "model.safetensors").unlink()
    (copy / name).write_bytes(pickle.dumps(Bomb(tmp_path / "opened")))
    assert why in fails("sft", base=copy, demonstrations=files["demonstrations"])
    assert not (tmp_path / "opened").exists()


def test_pickles_beside_the_weights_stay_unopened(
    stage: Stage, files: dict[str, str], copy: Path, tmp_path: Path
) -> None:
    (copy / "adapter").mkdir()
    beside = "pytorch_model.bin training_args.bin optimizer.pt tokenizer.pkl adapter/adapter_model.bin"
    for name in beside.split():
        (copy / name).write_bytes(pickle.dumps(Bomb(tmp_path / "opened")))
    assert stage("sft", base=copy, demonstrations=files["demonstrations"], out=tmp_path / "out") == 0
    assert not (tmp_path / "opened").exists()
    pickle.loads((copy / "pytorch_model.bin").read_bytes())
    assert (tmp_path / "opened").exists()  # as it would have, had anybody opened it


def test_an_adapter_on_top_of_the_weights_is_refused_and_its_pickle_stays_unopened(
    fails: Fails, files: dict[str, str], copy: Path, tmp_path: Path
) -> None:
    """transformers opens it unasked, and takes a pickle where there are no safetensors of it."""
    described = {"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"], "base_model_name_or_path": str(copy)}
    (copy / "adapter_config.json").write_text(json.dumps(described))
    (copy / "adapter_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "opened")))
    assert "Merge it into the weights" in fails("sft", base=copy, demonstrations=files["demonstrations"])
    assert not (tmp_path / "opened").exists()


def test_weights_elsewhere_that_an_adapter_of_the_hub_names_are_not_opened(
    files: dict[str, str], copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those may be another project's. The hub is its cache here."""
    put_into_cache(tmp_path / "hub", "someone/theirs", copy)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    out = tmp_path / "out"
    done = fresh("sft", base="someone/theirs", demonstrations=files["demonstrations"], out=out)
    assert done.returncode == USER_CAN_FIX, done.stderr
    assert "holds an adapter" in json.loads((out / "error.json").read_text())["message"]


def put_into_cache(cache: Path, name: str, base: Path) -> None:
    """As the hub's client keeps what it has fetched: a model without weights, but with an adapter on those of base."""
    kept = cache / f"models--{name.replace('/', '--')}"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("0" * 40)
    snapshot = shutil.copytree(base, kept / "snapshots" / ("0" * 40), ignore=lambda *_: ["model.safetensors"])
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=2, target_modules=["q_proj"]))
    adapted.save_pretrained(snapshot)


def test_a_models_own_code_is_not_run(fails: Fails, files: dict[str, str], copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "foreign", "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "code.py").write_text(f"open({str(copy / 'ran')!r}, 'w')")
    assert "cannot be opened" in fails("sft", base=copy, demonstrations=files["demonstrations"])
    assert not (copy / "ran").exists()


def test_an_architecture_that_writes_no_text(fails: Fails, files: dict[str, str], tmp_path: Path) -> None:
    config = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=32)
    ViTModel(config).save_pretrained(tmp_path / "vit")
    assert "causal or sequence-to-sequence" in fails(
        "sft", base=tmp_path / "vit", demonstrations=files["demonstrations"]
    )


def test_an_encoder(fails: Fails, files: dict[str, str], tmp_path: Path) -> None:
    config = BertConfig(vocab_size=300, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertForMaskedLM(config).save_pretrained(tmp_path / "bert")
    tiny.tokenizer("llama").save_pretrained(tmp_path / "bert")
    assert "writes text" in fails("sft", base=tmp_path / "bert", demonstrations=files["demonstrations"])


def test_weights_cut_short(fails: Fails, files: dict[str, str], copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert "cannot be opened" in fails("sft", base=copy, demonstrations=files["demonstrations"])


def test_a_tokenizer_of_another_model(fails: Fails, files: dict[str, str], copy: Path) -> None:
    tokenizer = tiny.tokenizer("llama")
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(copy)
    assert "token ids up to" in fails("sft", base=copy, demonstrations=files["demonstrations"])


def test_a_folder_without_tokenizer(fails: Fails, files: dict[str, str], copy: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    assert "tokenizer" in fails("sft", base=copy, demonstrations=files["demonstrations"])


def test_a_policy_is_no_reward_model(fails: Fails, folders: dict[str, Path], files: dict[str, str]) -> None:
    message = fails("ppo", policy=folders["llama"], reward_model=folders["llama"], prompts=files["prompts"])
    assert "Give a reward model" in message


def test_a_reward_model_is_no_policy(
    stage: Stage, fails: Fails, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    assert stage("reward_model", base=folders["llama"], rankings=files["rankings"], out=tmp_path / "rm") == 0
    assert "writes text" in fails("sample", policy=tmp_path / "rm" / "model", prompts=files["prompts"])


def test_policy_and_reward_model_of_different_vocabularies(
    stage: Stage, fails: Fails, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    # As many tokens, but EOS goes by another name.
    assert stage("reward_model", base=folders["gpt2"], rankings=files["rankings"], out=tmp_path / "rm") == 0
    message = fails("ppo", policy=folders["llama"], reward_model=tmp_path / "rm" / "model", prompts=files["prompts"])
    assert "different vocabularies" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no rows"),
        ("\n\n", "holds no rows"),
        ('{"prompt": "a", "completion": "b"}\n{"prompt": "a"', "Line 2 of"),
        ('{"prompt": "a", "completion": "b"}\n[1]', "is a list"),
        ('{"prompt": "a", "completion": 3}', '"completion" that is a text'),
        ('{"completion": "b"}', '"prompt" that is a text or a list'),
        ('{"prompt": [{"role": "user"}], "completion": "b"}', '"prompt" that is a text or a list'),
        ('{"prompt": [], "completion": "b"}', '"prompt" that is a text or a list'),
    ],
)
def test_rows_that_are_no_demonstrations(
    fails: Fails, folders: dict[str, Path], tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    assert said in fails("sft", base=folders["llama"], demonstrations=path)


@pytest.mark.parametrize(
    ("completions", "said"),
    [
        ([{"text": "a", "rank": 1}], "ranks 1 completion"),
        ([], "ranks 0 completion"),
        ([{"text": "a", "rank": 1}, {"text": "b"}], '{"text", "rank"}'),
        ([{"text": "a", "rank": "1"}, {"text": "b", "rank": 2}], '{"text", "rank"}'),
    ],
)
def test_rows_that_are_no_rankings(
    fails: Fails, folders: dict[str, Path], tmp_path: Path, completions: list[dict[str, Any]], said: str
) -> None:
    path = tiny.write(tmp_path / "rows.jsonl", [{"prompt": "a", "completions": completions}])
    assert said in fails("reward_model", base=folders["llama"], rankings=path)


@pytest.mark.parametrize(("name", "model"), [("reward_model", "base"), ("dpo", "policy")])
def test_rankings_are_looked_at_before_a_model_is_loaded(fails: Fails, tmp_path: Path, name: str, model: str) -> None:
    path = tiny.write(tmp_path / "rows.jsonl", [{"prompt": "a", "completions": [{"text": "a", "rank": 1}]}])
    assert "ranks 1 completion" in fails(name, **{model: tmp_path / "no-model"}, rankings=path)


def test_a_file_that_is_not_there(fails: Fails, folders: dict[str, Path]) -> None:
    assert "There is no file" in fails("sft", base=folders["llama"], demonstrations="/nowhere.jsonl")


def test_rows_that_are_all_too_long(fails: Fails, folders: dict[str, Path], tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "rows.jsonl", [{"prompt": "red " * 200, "completion": "b"}])
    assert "Raise max_length" in fails("sft", base=folders["llama"], demonstrations=path)


def test_a_wrong_hyperparameter(fails: Fails, folders: dict[str, Path], files: dict[str, str]) -> None:
    options = {"base": folders["llama"], "demonstrations": files["demonstrations"]}
    assert "no hyperparameter of sft" in fails("sft", **options, set=["lr=1"])
    assert "Write --set NAME=VALUE" in fails("sft", **options, set=["lr"])


def test_nothing_to_evaluate(stage: Stage, tmp_path: Path) -> None:
    assert stage("evaluate", json=tmp_path / "x.json") == USER_CAN_FIX
    assert "nothing to measure" in json.loads((tmp_path / "x.json.run" / "error.json").read_text())["message"]


def test_a_disk_too_full_for_a_checkpoint(
    fails: Fails, folders: dict[str, Path], files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda path: usage._replace(free=2**20))
    message = fails("sft", base=folders["llama"], demonstrations=files["demonstrations"])
    assert "3 checkpoints take" in message
    assert "Make room" in message


def test_a_disk_that_has_become_too_full_for_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda path: usage._replace(free=2**20))
    with pytest.raises(OSError, match="A checkpoint takes"):
        checkpoints.write(tmp_path, checkpoints.State({"m": torch.nn.Linear(2, 2)}, step=1))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_while_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    state = checkpoints.State({"m": torch.nn.Linear(2, 2)}, step=1)
    checkpoints.write(tmp_path, state)
    state.step = 2
    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.write(tmp_path, state)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]


@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:9"])
def test_an_unknown_hub_name_fails_soon_and_says_so(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    result = fresh("sft", base="nobody/no-such-model", demonstrations=files["demonstrations"], out=tmp_path)
    assert result.returncode == USER_CAN_FIX
    found = json.loads((tmp_path / "error.json").read_text())
    assert found["error"] == "InputError"
    assert "nobody/no-such-model" in found["message"]
    seconds = json.loads((tmp_path / "hyperparameters.json").read_text())
    assert seconds["seed"] == 0


def test_a_crash_is_written_down_too(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("training.algorithms.sft.sft", broken)
    with pytest.raises(ZeroDivisionError):
        stage("sft", base=folders["llama"], demonstrations=files["demonstrations"], out=tmp_path)
    assert json.loads((tmp_path / "error.json").read_text()) == {"error": "ZeroDivisionError", "message": "by zero"}


def test_a_disk_that_fills_while_the_model_is_saved(
    fails: Fails, folders: dict[str, Path], files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(Policy, "save", full)
    assert "No space left" in fails("sft", base=folders["llama"], demonstrations=files["demonstrations"])


def test_two_processes_do_not_share_a_run_folder(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "LOCK_PATIENCE", 0)
    held = Run(tmp_path)
    held.open(stage="sft", inputs={}, hyperparameters={})
    assert stage("sft", base=folders["llama"], demonstrations=files["demonstrations"], out=tmp_path) == USER_CAN_FIX
    assert "Another process" in json.loads((tmp_path / "error.json").read_text())["message"]
    held.close()
    Run(tmp_path).open(stage="sft", inputs={}, hyperparameters={})


def test_a_decoder_that_does_not_know_where_to_start(
    fails: Fails, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folders["t5"], tmp_path / "t5"))
    config = json.loads((copy / "config.json").read_text())
    del config["decoder_start_token_id"]
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "generation_config.json").unlink()
    assert "decoder_start_token_id" in fails("sft", base=copy, demonstrations=files["demonstrations"])


def test_a_response_as_long_as_the_models_positions(
    stage: Stage, fails: Fails, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    assert stage("reward_model", base=folders["gpt2"], rankings=files["rankings"], out=tmp_path / "rm") == 0
    message = fails("ppo", policy=folders["gpt2"], reward_model=tmp_path / "rm" / "model", prompts=files["prompts"],
                    set=["max_length=512", "token_budget=512", "response_length=300"])  # fmt: skip
    assert "no room for a prompt" in message


def test_training_that_diverges(fails: Fails, folders: dict[str, Path], files: dict[str, str]) -> None:
    options = {"base": folders["llama"], "demonstrations": files["demonstrations"]}
    assert "Lower learning_rate" in fails("sft", **options, set=["learning_rate=1e30", "max_grad_norm=0"])


@pytest.mark.parametrize(("name", "knob"), [("sft", "pretraining_share"), ("ppo", "ptx_coef")])
def test_pretraining_texts_of_no_weight_are_not_read(
    name: str, knob: str, stage: Stage, runs: Runs, tmp_path: Path
) -> None:
    spoilt = tmp_path / "texts.jsonl"
    spoilt.write_text("no JSON\n")
    for weight, code in ((0.1, USER_CAN_FIX), (0, 0)):
        options = runs[name] | {"pretraining": spoilt, "set": [*runs[name]["set"], f"{knob}={weight}"]}
        assert stage(name, **options, out=tmp_path / str(weight)) == code
