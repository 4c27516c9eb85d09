"""Language modelling on raw text: the starter model from nothing, or going on from a base."""

from __future__ import annotations

from pathlib import Path

from training.algorithms import data, language_model, model_card
from training.algorithms.errors import InputError
from training.algorithms.hyperparameters import Pretrain
from training.algorithms.networks import load_policy, within_positions
from training.algorithms.opening import pad_apart
from training.algorithms.run_folder import Run


def pretrain(run: Run, settings: Pretrain, *, texts: str, base: str | None = None) -> dict[str, float]:
    """Train on every token of the texts and save the model; its last figures."""
    if base:
        policy = load_policy(base, lora=settings)
        pad_apart(policy.model, policy.tokenizer)
    elif settings.lora_rank:
        raise InputError(
            f"lora_rank is {settings.lora_rank} and there is no base: adapters need weights that know something. "
            "Give --base, or set lora_rank to 0."
        )
    else:
        from training.algorithms import starter_model

        policy = starter_model.build(starter_model.texts_of(data.read_rows(Path(texts), data.text_problem)), settings)
    settings = within_positions(settings, policy)
    rows = language_model.read_texts(texts, policy, settings)
    figures = language_model.fit(run, policy, rows, settings=settings)
    figures |= {"rows": len(rows), "parameters": sum(p.numel() for p in policy.parameters())}
    model_card.save(policy, run, stage="pretrain", settings=settings, figures=figures, parents={"base": base})
    return figures
