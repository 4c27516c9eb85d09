"""Step 1 of InstructGPT: supervised fine-tuning on demonstrations. The loss is on the answer alone."""

from __future__ import annotations

from pathlib import Path

from training.algorithms import data, language_model, model_card
from training.algorithms.hyperparameters import SFT
from training.algorithms.networks import load_policy, within_positions
from training.algorithms.opening import pad_apart
from training.algorithms.run_folder import Run


def sft(
    run: Run,
    settings: SFT,
    *,
    base: str,
    demonstrations: str,
    held_out: str | None = None,
    pretraining: str | None = None,
) -> dict[str, float]:
    """Fine-tune the base and save the policy; its last figures."""
    policy = load_policy(base, lora=settings)
    pad_apart(policy.model, policy.tokenizer)
    settings = within_positions(settings, policy)
    rows = data.demonstrations(Path(demonstrations), policy.encoder)
    rows = language_model.fitting(rows, settings, what="demonstrations")
    looked_at = data.demonstrations(Path(held_out), policy.encoder) if held_out else []
    figures = language_model.fit(
        run,
        policy,
        rows,
        settings=settings,
        mixed_in=language_model.mixed_in(
            pretraining, policy, settings, weight=settings.pretraining_share, name="pretraining_share"
        ),
        mixed_share=settings.pretraining_share,
        held_out=language_model.fitting(looked_at, settings, what="held-out demonstrations") if looked_at else [],
    )
    figures |= {"rows": len(rows)}
    model_card.save(policy, run, stage="sft", settings=settings, figures=figures, parents={"base": base})
    return figures
