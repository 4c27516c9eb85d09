"""Policies and reward models: entering them with their lineage, and looking at folders that others bring.

Nothing here opens weights: the web and the worker never import torch, and nothing anybody brought is unpickled.
"""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.audit import record
from annotation.models import Generator, GeneratorKind, Project, User
from training.auditing import Action
from training.lineage import write_lineage
from training.models import Family, Policy, RewardModel, TrainingRun
from training.weights import header

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
BROUGHT = ("models", "starter")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json")
ADAPTER = "adapter_config.json"


class ModelError(Exception):
    """A folder or name that is no usable model; says what was found, what was expected and what to do."""


def import_policy(project: Project, *, source: str, name: str, texts: str = "", user: User | None = None) -> Policy:
    """Enter a model that was made elsewhere: a folder on this machine, or a hub name, which its first run resolves."""
    folder = (Path(settings.DATA) / source).resolve()
    if _is_folder(folder):
        _refuse_others_data(folder)
        family = check_folder(folder)
        policy = register_policy(project, name=name, folder=folder, family=family, source=source, texts=texts)
        record(Action.POLICY_ADDED, actor=user, project=project, policy=policy.pk)
        return policy
    if HUB_NAME.fullmatch(source) and not source.startswith((".", "/")):
        policy = register_policy(project, name=name, folder=None, family=Family.CAUSAL, source=source, texts=texts)
        record(Action.POLICY_ADDED, actor=user, project=project, policy=policy.pk)
        return policy
    raise ModelError(
        _("{source} is neither a folder on this machine nor a hub name such as HuggingFaceTB/SmolLM2-135M. "
          "Give the folder that save_pretrained wrote, or the name on the hub.").format(source=source)
    )  # fmt: skip


def put_back(policy: Policy, *, user: User | None) -> None:
    """Make a policy that was published before the current one again: beside it the next round's outputs are shown."""
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=policy.project_id)
        policy.refresh_from_db()
        current = Policy.objects.current(policy.project)
        if policy.published_at is None or current is None:
            raise ModelError(_("{name} was never published. Publish the round that made it.").format(name=policy.name))
        if current == policy:
            raise ModelError(_("{name} is the current policy already.").format(name=policy.name))
        policy.published_at = timezone.now()
        policy.save(update_fields=["published_at"])
        record(Action.POLICY_PUT_BACK, actor=user, project=policy.project, policy=policy.pk, before=current.pk)


def register_policy(
    project: Project,
    *,
    name: str,
    run: TrainingRun | None = None,
    folder: Path | None = None,
    family: str | None = None,
    source: str = "",
    parent: Policy | None = None,
    texts: str = "",
    figures: dict[str, Any] | None = None,
) -> Policy:
    """Enter a policy and the generator that stands for it where people work. A run's policy is entered once."""
    if run is not None:
        folder = run.folder / "model"
        if earlier := Policy.objects.filter(run=run).first():
            return earlier
    if folder is not None and family is None:
        family = check_folder(folder)
    with transaction.atomic():
        try:
            with transaction.atomic():
                generator = Generator.objects.create(project=project, kind=GeneratorKind.POLICY, name=name)
        except IntegrityError:
            raise ModelError(
                _("There is a generator named {name} already. Choose another name.").format(name=name)
            ) from None
        policy = Policy.objects.create(
            project=project, run=run, name=name, family=family or Family.CAUSAL, source=source,
            path=stored_path(folder), parent=parent, texts=texts or (parent.texts if parent else ""),
            figures=figures or {}, generator=generator,
        )  # fmt: skip
        if run is not None and folder is not None:
            write_lineage(folder, lineage(run))
    return policy


def best_of_generator(policy: Policy, *, n: int) -> Generator:
    """Who the best of n outputs of a policy are by: people may like them better than what it says plainly."""
    generator, _made = Generator.objects.get_or_create(
        project=policy.project, name=f"{policy.name[:100]}-best-of-{n}", defaults={"kind": GeneratorKind.POLICY}
    )
    return generator


def register_reward_model(
    project: Project,
    *,
    name: str,
    run: TrainingRun,
    parent: Policy | None = None,
    figures: dict[str, Any] | None = None,
) -> RewardModel:
    if earlier := RewardModel.objects.filter(run=run).first():
        return earlier
    folder = run.folder / "model"
    family = check_folder(folder)
    with transaction.atomic():
        model = RewardModel.objects.create(
            project=project,
            run=run,
            name=name,
            family=family,
            path=stored_path(folder),
            parent=parent,
            figures=figures or {},
        )
        write_lineage(folder, lineage(run))
    return model


def lineage(run: TrainingRun) -> dict[str, Any]:
    """What a model of this run came from, as far as another machine can make use of it."""
    frozen = run.dataset.as_of(run.started_at or run.created_at) if run.dataset else None
    return {
        "stage": run.stage,
        "run": run.pk,
        "round": run.round.number if run.round else None,
        "project": run.project.slug,
        "base": run.base.name if run.base else None,
        "reward_model": run.judge.name if run.judge else None,
        "dataset": run.dataset.pk if run.dataset else None,
        "dataset_sha256": frozen["sha256"] if frozen else None,
        "files": {name: file["sha256"] for name, file in frozen["files"].items()} if frozen else {},
        "code_version": run.code_version,
        "hyperparameters": run.hyperparameters,
    }


def free_name(project: Project, wanted: str, *, run: TrainingRun) -> str:
    """The name, or where somebody gave it to another model already, the name with the run's number."""
    taken = (
        Generator.objects.filter(project=project, name=wanted).exists()
        or RewardModel.objects.filter(project=project, name=wanted).exists()
    )
    return f"{wanted}-{run.pk}" if taken else wanted


def check_folder(folder: Path) -> Family:
    """The family of the model in `folder`; raises ModelError unless it is one that a trainer can open."""
    config = _config(folder)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickled = [path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt")]
        raise ModelError(
            _("{folder} holds no *.safetensors (found: {found}). Weights in other formats are never opened: they may "
              "run code. Save the model again with save_pretrained(..., safe_serialization=True).").format(
                folder=folder, found=", ".join(pickled) or "no weights"
            )
        )  # fmt: skip
    for path in weights:
        _check_safetensors(path)
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise ModelError(
            _(
                "{folder} holds no tokenizer ({names}). Save it beside the model: tokenizer.save_pretrained(folder)."
            ).format(folder=folder, names=", ".join(TOKENIZERS))
        )
    if "auto_map" in config:
        raise ModelError(
            _("{folder} asks for code of its own (auto_map in config.json); that is never run.").format(folder=folder)
        )
    if (folder / ADAPTER).exists():
        raise ModelError(
            _("{folder} holds an adapter ({name}), which is not put on. Merge it into the weights with "
              "merge_and_unload() of peft, and save these.").format(folder=folder, name=ADAPTER)
        )  # fmt: skip
    return Family.SEQ2SEQ if config.get("is_encoder_decoder") else Family.CAUSAL


def stored_path(folder: Path | None) -> str:
    """A folder as the database keeps it: relative where it lies in the data folder; empty for a hub name."""
    if folder is None:
        return ""
    data = Path(settings.DATA)
    return str(folder.relative_to(data)) if folder.is_relative_to(data) else str(folder)


def _is_folder(path: Path) -> bool:
    """Not where it may not be looked at, nor where the name is longer than any path."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _refuse_others_data(folder: Path) -> None:
    """In the data folder lie other projects' models; only what was laid there to be brought in may be."""
    data = Path(settings.DATA)
    if folder.is_relative_to(data) and not any(folder.is_relative_to(data / name) for name in BROUGHT):
        raise ModelError(
            _("{folder} lies in Plumbline's own data folder. Put the model into {models}, or anywhere else.").format(
                folder=folder, models=data / BROUGHT[0]
            )
        )


def _config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ModelError(
            _("There is no folder {folder}. Give the folder that save_pretrained wrote.").format(folder=folder)
        )
    try:
        config = json.loads((folder / "config.json").read_text())
    except FileNotFoundError:
        raise ModelError(
            _("{folder} holds no config.json, so it is no Hugging Face model folder. Give the folder that "
              "save_pretrained wrote.").format(folder=folder)
        ) from None  # fmt: skip
    except (OSError, ValueError) as error:
        raise ModelError(_("{folder}/config.json can't be read: {error}").format(folder=folder, error=error)) from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise ModelError(
            _("{folder}/config.json names no model_type, so it is no Hugging Face model.").format(folder=folder)
        )
    return config


def _check_safetensors(path: Path) -> None:
    """A safetensors file begins with the length of its header, which is JSON, and ends with the last tensor."""
    try:
        length, tensors = header(path)
        size = max((tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"), default=0)
        if path.stat().st_size != 8 + length + size:
            raise ValueError(f"{path.stat().st_size} bytes where the header tells of {8 + length + size}")
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            _("{path} is no whole safetensors file ({error}). Copy or save it again.").format(path=path, error=error)
        ) from error
