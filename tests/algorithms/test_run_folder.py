"""The folder of a run."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk that has no room for more: the last write comes in by half."""
    before, heard = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heard)


def test_a_full_disk_leaves_no_half_line_in_the_way_of_the_next(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log(1, 3, {"loss": 0.5})
    with files_of_at_most(100), pytest.raises(OSError, match="File too large"):
        run.log(2, 3, {"loss": 0.5})
    run.log(3, 3, {"loss": 0.25})
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 3]


def test_a_result_that_did_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    with files_of_at_most(100), pytest.raises(OSError, match="File too large"):
        Run(tmp_path).finish({"figure": "9" * 1_000})
    assert list(tmp_path.iterdir()) == []
