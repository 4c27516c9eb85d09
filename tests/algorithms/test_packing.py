"""Packed rows get the loss and the gradients that they get alone; a model that would mix them is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.algorithms.conftest import Stage
from tests.algorithms.test_networks import any_time, rows_of
from training.algorithms import language_model, packing
from training.algorithms.data import Row
from training.algorithms.errors import InputError
from training.algorithms.networks import Policy, load_policy
from training.algorithms.presets import resolve


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def policy(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Policy:
    loaded: Policy = load_policy(str(folders[request.param])).eval()
    loaded.model.double()
    return loaded


def loss_and_gradients(policy: Policy, rows: list[Row], *, packed: bool) -> tuple[float, torch.Tensor]:
    policy.zero_grad()
    settings = resolve("sft", preset="test", values={"max_length": 40, "token_budget": 80})
    loss = language_model.backward(policy, rows, settings=settings, packed=packed)
    return loss, torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None])


@given(rows_of)
@any_time
def test_packed_rows_have_the_loss_and_gradients_of_rows_alone(policy: Policy, rows: list[Row]) -> None:
    apart, packed = (loss_and_gradients(policy, rows, packed=packed) for packed in (False, True))
    assert packed[0] == pytest.approx(apart[0], rel=1e-6)  # the loss is taken in fp32
    assert torch.allclose(packed[1], apart[1], rtol=1e-4, atol=1e-7)


@given(st.lists(st.integers(2, 30), min_size=1, max_size=40), st.integers(30, 90))
def test_bins_hold_every_row_once_and_keep_to_their_size(sizes: list[int], size: int) -> None:
    rows = [Row([number], [1] * (length - 1)) for number, length in enumerate(sizes)]
    found = packing.bins(rows, size=size)
    assert sorted(row.prompt[0] for each in found for row in each.rows) == list(range(len(rows)))
    assert all(each.length <= size for each in found)
    assert sum(each.length <= size / 2 for each in found) <= 1  # two such would have been one


@pytest.mark.parametrize("name", ["sft", "pretrain"])
def test_a_stage_may_pack_its_rows(
    stage: Stage, name: str, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    rows = {"pretrain": {"texts": files["texts"]}, "sft": {"demonstrations": files["demonstrations"]}}[name]
    losses = []
    for packed in ("false", "true"):
        out = tmp_path / packed
        assert stage(name, base=folders["gpt2"], out=out, set=[f"packing={packed}"], **rows) == 0
        losses.append(json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)  # after eight updates in fp32


def test_a_sequence_to_sequence_model_is_not_packed(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    run = {"base": folders["t5"], "demonstrations": files["demonstrations"], "out": tmp_path}
    assert stage("sft", **run, set=["packing=true"]) == 2
    assert "sequence-to-sequence" in json.loads((tmp_path / "error.json").read_text())["message"]


def test_a_model_that_takes_no_positions_is_refused(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    policy = load_policy(str(folders["gpt2"]))
    packing.check(policy)
    forward = policy.model.base_model.forward
    monkeypatch.setattr(policy.model.base_model, "forward", lambda position_ids=None, **inputs: forward(**inputs))
    with pytest.raises(InputError, match="Set packing to false"):
        packing.check(policy)
