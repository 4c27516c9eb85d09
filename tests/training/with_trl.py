"""One step of each of TRL's trainers on a dataset's folder: `python with_trl.py FOLDER MODEL SCRATCH` prints losses."""

from __future__ import annotations

import json
import sys
from typing import Any

from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

folder, model, scratch = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(model)
brief = {"output_dir": scratch, "max_steps": 1, "save_strategy": "no", "report_to": [], "use_cpu": True, "bf16": False}


def loss(kind: str, trainer: Any, config: Any, network: Any) -> float:
    rows = load_dataset(folder, kind, split="train")
    started = trainer(model=network, args=config(**brief), train_dataset=rows, processing_class=tokenizer)
    return float(started.train().training_loss)


def causal() -> Any:
    return AutoModelForCausalLM.from_pretrained(model)


judge = AutoModelForSequenceClassification.from_pretrained(model, num_labels=1)
losses = {
    "demonstrations": loss("demonstrations", SFTTrainer, SFTConfig, causal()),
    "messages": loss("messages", SFTTrainer, SFTConfig, causal()),
    "reward": loss("comparisons", RewardTrainer, RewardConfig, judge),
    "dpo": loss("comparisons", DPOTrainer, DPOConfig, causal()),
}
print(json.dumps(losses))
