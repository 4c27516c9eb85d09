"""The folder of a run."""

from __future__ import annotations

import json
from pathlib import Path

from training.algorithms.run_folder import Run


def test_a_figure_that_is_no_number_is_missing_and_the_file_stays_json(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log(1, 2, {"loss": float("nan"), "reward": float("inf"), "kl": 0.25})
    run.finish({"loss": float("nan"), "rows": 3})

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    line = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=refuse)
    result = json.loads((tmp_path / "result.json").read_text(), parse_constant=refuse)
    assert (line["loss"], line["reward"], line["kl"]) == (None, None, 0.25)
    assert (result["loss"], result["rows"]) == (None, 3)
