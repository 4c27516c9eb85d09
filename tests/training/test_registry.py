from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from annotation.models import AuditEntry, Generator
from tests.training.world import Lab
from training.lineage import write_lineage
from training.models import Family, Policy
from training.registry import ModelError, check_folder, import_policy, put_back


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The least that passes for a model folder: its files as save_pretrained names them, with one empty tensor."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (tmp_path / "tokenizer.json").write_text("{}")
    safetensors(tmp_path / "model.safetensors", data=b"\0" * 8)
    return tmp_path


def safetensors(path: Path, *, data: bytes) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [len(data) // 4], "data_offsets": [0, len(data)]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def test_a_whole_folder_tells_its_family(folder: Path) -> None:
    assert check_folder(folder) == Family.CAUSAL
    (folder / "config.json").write_text(json.dumps({"model_type": "t5", "is_encoder_decoder": True}))
    assert check_folder(folder) == Family.SEQ2SEQ


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])


def garble(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)


def only_pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


REFUSED: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
    (lambda folder: (folder / "config.json").write_text("{"), "can't be read"),
    (lambda folder: (folder / "config.json").write_text("{}"), "names no model_type"),
    (lambda folder: (folder / "config.json").write_text('{"model_type": "x", "auto_map": {}}'), "code of its own"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "holds no tokenizer"),
    (only_pickled, r"holds no \*.safetensors \(found: pytorch_model.bin\)"),
    (lambda folder: (folder / "adapter_config.json").write_text("{}"), "holds an adapter"),
    (truncate, "no whole safetensors file"),
    (garble, "no whole safetensors file"),
]


@pytest.mark.parametrize(("spoil", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_a_folder_that_is_no_usable_model_is_refused_with_the_reason(
    folder: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    spoil(folder)
    with pytest.raises(ModelError, match=reason):
        check_folder(folder)


def test_nothing_brought_in_is_unpickled(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    proof = tmp_path_factory.mktemp("proof") / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (proof,)

    pickled = pickle.dumps(Bomb())
    (folder / "pytorch_model.bin").write_bytes(pickled)
    assert check_folder(folder) == Family.CAUSAL  # by the safetensors beside it
    (folder / "model.safetensors").write_bytes(pickled)
    with pytest.raises(ModelError, match="model.safetensors is no whole safetensors file"):
        check_folder(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="they may run code. Save the model again"):
        check_folder(folder)
    assert not proof.exists()
    pickle.loads(pickled)
    assert proof.exists()  # as it would have, had anybody opened it


def test_an_imported_folder_becomes_a_policy_with_a_generator(lab: Lab, folder: Path) -> None:
    policy = import_policy(lab.project, source=str(folder), name="ours")
    assert policy.location == str(folder)
    assert policy.generator.name == "ours"
    assert policy.parent is None
    assert policy in Policy.objects.brought()


def test_a_hub_name_is_kept_for_the_run_that_opens_it(lab: Lab) -> None:
    policy = import_policy(lab.project, source="HuggingFaceTB/SmolLM2-135M", name="smol")
    assert policy.location == "HuggingFaceTB/SmolLM2-135M"


@pytest.mark.parametrize(
    "source", ["", "nothing", "/nowhere/at/all", "../../etc/passwd", "a/b/c", "./x", "bad name/x", "a" * 300]
)
def test_what_is_neither_folder_nor_hub_name_is_refused_and_leaves_nothing(lab: Lab, source: str) -> None:
    generators = Generator.objects.count()
    with pytest.raises(ModelError):
        import_policy(lab.project, source=source, name="nothing")
    assert Generator.objects.count() == generators


def test_a_name_is_given_once_a_project(lab: Lab, folder: Path) -> None:
    with pytest.raises(ModelError, match="Choose another name"):
        import_policy(lab.project, source=str(folder), name="base")
    assert import_policy(lab.people.next_door, source=str(folder), name="base")


def test_one_goes_back_to_a_policy_that_was_published_and_the_log_says_who_did(lab: Lab) -> None:
    older, newer = lab.base, import_policy(lab.project, source="HuggingFaceTB/SmolLM2-135M", name="smol")
    with pytest.raises(ModelError, match="base was never published"):
        put_back(older, user=lab.rosa)
    now = timezone.now()
    Policy.objects.filter(pk=older.pk).update(published_at=now - timedelta(days=1))
    Policy.objects.filter(pk=newer.pk).update(published_at=now)
    assert Policy.objects.current(lab.project) == newer
    put_back(older, user=lab.rosa)
    assert Policy.objects.current(lab.project) == older
    entry = AuditEntry.objects.get(action="policy_put_back")
    assert (entry.actor_id, entry.details) == (lab.rosa.pk, {"policy": older.pk, "before": newer.pk})
    with pytest.raises(ModelError, match="base is the current policy already"):
        put_back(older, user=lab.rosa)


def test_a_run_folder_in_the_data_folder_cannot_be_brought_in(lab: Lab, folder: Path) -> None:
    foreign = Path(settings.DATA) / "runs" / "theirs"  # no number, which a run of another test may have
    foreign.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(foreign)
    for source in (str(foreign), "runs/theirs", "models/../runs/theirs"):
        with pytest.raises(ModelError, match="own data folder"):
            import_policy(lab.project, source=source, name="theirs")


def test_lineage_lies_beside_the_weights_and_in_the_card_once_however_often_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A model\n\nText.\n")
    for _ in range(2):
        write_lineage(tmp_path, {"run": 3, "dataset_sha256": "abc", "hyperparameters": {"seed": 1}})
    assert json.loads((tmp_path / "lineage.json").read_text())["hyperparameters"] == {"seed": 1}
    card = (tmp_path / "README.md").read_text()
    assert card == "# A model\n\nText.\n\n## Lineage\n\n- run: `3`\n- dataset sha256: `abc`\n"
