"""LoRA (arXiv 2106.09685) by peft: low-rank adapters beside frozen weights, which several networks can hold in common.

A model that was trained so is saved as an ordinary folder, the adapter added to its weights, and in `adapter/` as peft
writes it: from there a later stage goes on, on the base that the adapter names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.algorithms.errors import InputError
from training.algorithms.knobs import Optimisation

FOLDER = "adapter"
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
NAME, PREFIX = "default", "base_model.model."  # what peft calls the adapter, and puts before the names in its file
HEADS = {"score", "head"}


def base_of(name: str) -> str:
    """Where the frozen weights under a model's adapter are; the model itself where it has none, or they are gone."""
    described = Path(name) / FOLDER / CONFIG
    if not described.exists():
        return name
    base = str(json.loads(described.read_text())["base_model_name_or_path"])
    if Path(base).is_absolute() and not Path(base).exists():
        print(f"The base {base} of {name} is gone: the adapter is put on {name} as it is.", flush=True)
        return name
    return base


def put_on(model: Any, name: str, *, base: str, settings: Optimisation) -> None:
    """Freeze the model and give it an adapter: the one beside `name` where it stands on its base, else a new one.

    A new one changes nothing yet (its B is 0). Raises InputError where the model has no layer that lora_targets names.
    """
    from peft import LoraConfig, inject_adapter_in_model

    has_one = base != name
    given = Path(name) / FOLDER
    config = LoraConfig.from_pretrained(str(given)) if has_one else _new_config(settings, base)
    config.modules_to_save, config.inference_mode = None, False  # heads are trained whole, and outside peft
    model.requires_grad_(requires_grad=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        try:
            inject_adapter_in_model(config, model.base_model, NAME)
        except ValueError as error:
            raise InputError(f"No adapter can be put on {base}: {error} Change lora_targets.") from error
    model.adapter = config
    if has_one:
        _load(model, load_file(given / WEIGHTS))


def moving(module: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that training moves, by name: all of them or, where there are adapters, these and the head."""
    everything = dict(module.named_parameters())
    adapted = {
        name: parameter
        for name, parameter in everything.items()
        if ".lora_" in name or HEADS.intersection(name.split("."))
    }  # fmt: skip
    return adapted if is_on(module) else everything


def is_on(module: nn.Module) -> bool:
    """Whether the module has adapters."""
    return any(".lora_" in name for name, _ in module.named_parameters())


def frozen(module: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that training leaves alone, by name: those under adapters."""
    learnt = moving(module)
    return {name: parameter for name, parameter in module.named_parameters() if name not in learnt}


def share_base(one: Any, other: Any) -> None:
    """Let the other model hold the very tensors of the one, wherever both are frozen and equal."""
    ours = {_short(name, one): parameter for name, parameter in frozen(one).items()}
    same = {
        id(theirs): mine
        for name, theirs in frozen(other).items()
        if (mine := ours.get(_short(name, other))) is not None
        and mine.shape == theirs.shape
        and torch.equal(mine, theirs)
    }
    for module in other.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and id(parameter) in same:
                module._parameters[name] = same[id(parameter)]


def merged(model: Any) -> dict[str, Tensor]:
    """The model's weights under their own names, the adapter's product added: W + (alpha / r) B A."""
    from peft.tuners.lora import LoraLayer

    weights = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in model.state_dict().items()
        if ".lora_" not in name
    }  # fmt: skip
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            tuned: Any = layer  # its linear kinds alone are put on, and they know their product
            weights[f"{name}.weight"] = (tuned.base_layer.weight + tuned.get_delta_weight(NAME)).detach()
    return weights


def save(model: Any, folder: Path) -> None:
    """Write the adapter as peft does, so that peft opens it on its base; with a classifier's head."""
    head = "score" if isinstance(getattr(model, "score", None), nn.Linear) else None
    model.adapter.modules_to_save = [head] if head else None
    model.adapter.inference_mode = True
    model.adapter.save_pretrained(folder / FOLDER)
    weights = {
        PREFIX + name.replace(f".{NAME}.", "."): parameter.detach().cpu().contiguous()
        for name, parameter in moving(model).items()
    }
    save_file(weights, folder / FOLDER / WEIGHTS, metadata={"format": "pt"})


def _new_config(settings: Optimisation, base: str) -> Any:
    from peft import LoraConfig

    targets = settings.lora_targets
    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        target_modules=targets if targets == "all-linear" else [each.strip() for each in targets.split(",")],
        base_model_name_or_path=str(Path(base).resolve()) if Path(base).is_dir() else base,
    )


def _load(model: Any, stored: dict[str, Tensor]) -> None:
    """Copy an adapter's weights into the model's, whichever of its family (policy, classifier, bare) wrote them."""
    found = {_short(name.removeprefix(PREFIX), model): tensor for name, tensor in stored.items()}
    with torch.no_grad():
        for name, parameter in moving(model).items():
            short = _short(name.replace(f".{NAME}.", "."), model)
            if ".lora_" in name or short in found:  # a policy's adapter has no head
                parameter.copy_(found[short])


def _short(name: str, model: Any) -> str:
    """The name within the backbone, which policies and classifiers have in common."""
    return name.removeprefix(f"{model.base_model_prefix}.")
