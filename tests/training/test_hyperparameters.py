from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from training.algorithms.hyperparameters import STAGES
from training.hyperparameters import AUTO, InputError, chosen_preset, settle
from training.models import Policy


@given(
    stage=st.sampled_from(sorted(STAGES)),
    demonstrations=st.integers(0, 50_000),
    rankings=st.integers(0, 100_000),
    prompts=st.integers(0, 100_000),
)
def test_the_papers_settings_fit_any_amount_of_data(
    stage: str, demonstrations: int, rankings: int, prompts: int
) -> None:
    rows = {"demonstrations": demonstrations, "rankings": rankings, "prompts": prompts}
    settled = settle(stage, preset="paper", rows=rows)
    if stage in ("sft", "reward_model"):
        data = demonstrations if stage == "sft" else rankings
        assert settled["batch_size"] <= max(1, data // 16)
    if stage == "ppo":
        assert settled["batch_size"] <= max(8, prompts)
        assert settled["total_episodes"] <= 256_000


def test_with_the_papers_amount_of_data_they_are_the_papers_settings() -> None:
    rows = {"demonstrations": 13_000, "rankings": 33_000, "prompts": 32_000}
    assert settle("sft", preset="paper", rows=rows)["batch_size"] == 32
    assert settle("reward_model", preset="paper", rows=rows)["batch_size"] == 64
    ppo = settle("ppo", preset="paper", rows=rows)
    expected = {"batch_size": 512, "minibatch_size": 64, "ptx_batch_size": 512, "warmup_steps": 80, "ema_decay": 0.992}
    assert {name: ppo[name] for name in expected} == expected
    assert ppo["total_episodes"] == 256_000


def test_a_short_run_keeps_no_moving_average_that_would_be_the_model_it_began_with() -> None:
    assert settle("ppo", preset="paper", rows={"prompts": 100})["ema_decay"] == 0


def test_a_persons_values_go_over_all_others_and_wrong_ones_are_named_together() -> None:
    assert settle("ppo", preset="starter", rows={}, values={"kl_coef": "0.5"})["kl_coef"] == 0.5
    with pytest.raises(InputError, match=r"kl_ceof is no hyperparameter.*lam is 7"):
        settle("ppo", preset="starter", rows={}, values={"kl_ceof": 1, "lam": 7})


def test_auto_is_the_starters_settings_for_a_small_model_and_the_papers_for_any_other(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 1000)
    assert chosen_preset(AUTO, Policy(path=str(tmp_path))) == "starter"
    assert chosen_preset(AUTO, Policy(path="", source="org/name")) == "paper"
    assert chosen_preset("test", Policy(path="", source="org/name")) == "test"
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    assert chosen_preset(AUTO, Policy(path=str(tmp_path))) == "paper"


def test_lengths_keep_to_what_the_model_was_made_for(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": 512}))
    policy = Policy(path=str(tmp_path))
    ppo = settle("ppo", preset="paper", rows={"prompts": 10}, policy=policy)
    assert (ppo["max_length"], ppo["response_length"]) == (512, 256)


def test_neither_the_web_nor_the_tasks_import_torch() -> None:
    code = (
        "import django; django.setup(); import config.urls, training.tasks, training.rounds, training.api.urls, sys; "
        "print([name for name in ('torch', 'transformers', 'accelerate') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
