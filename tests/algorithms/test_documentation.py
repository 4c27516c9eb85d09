"""docs/algorithms.md says where things stand in the code, and there they stand."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.algorithms.conftest import ROOT

PAGE = (ROOT / "docs" / "algorithms.md").read_text(encoding="utf-8")
MODULES = {path.stem for path in (ROOT / "training" / "algorithms").glob("[a-z]*.py")}
TEXT = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
NAMES = sorted(set(re.findall(r"`([\w.]+)`", TEXT)))
PATHS = sorted(set(re.findall(r"`?((?:tests|benchmarks|training|config|docs)/[\w/.]+\.\w+)`?", PAGE)))
FILES = {"py", "jsonl", "safetensors", "json"}
TOLD = {"reward_offset", "reward_scale"}  # keys of a model's config and card
BENCHMARKS = sorted(set(re.findall(r"-m (benchmarks\.\w+)", PAGE)))


def module(name: str) -> ModuleType:
    return importlib.import_module(f"training.algorithms.{name}")


def classes() -> dict[str, Any]:
    """The classes of all modules, by name."""
    return {
        name: each
        for stem in sorted(MODULES)
        for name, each in inspect.getmembers(module(stem), inspect.isclass)
        if each.__module__ == f"training.algorithms.{stem}"
    }


def exists(name: str) -> bool:
    """Whether a dotted name is something in training/algorithms: `losses.gae`, `Scorer.values`, `data`."""
    first, *rest = name.split(".")
    found = module(first) if first in MODULES else classes().get(first)
    for part in rest:
        found = getattr(found, part, None)
    return found is not None


def in_columns_named_where() -> Iterator[str]:
    """What the tables put in backticks under "where"."""
    column = None
    for line in TEXT.split("\n"):
        if not line.startswith("|"):
            column = None
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if column is None:
            column = cells.index("where") if "where" in cells else -1
        elif column >= 0:
            yield from re.findall(r"`([^`]+)`", cells[column])


def points_into_the_code(name: str) -> bool:
    first, dot, rest = name.partition(".")
    return bool(dot) and rest not in FILES and (first in MODULES or first[0].isupper())


def test_the_page_is_read() -> None:
    assert len(list(in_columns_named_where())) > 20
    assert sum(map(points_into_the_code, NAMES)) > 40
    assert exists("ppo.Trainer.collect")
    assert not exists("ppo.Trainer.no_such_method")


@pytest.mark.parametrize("name", sorted(set(in_columns_named_where())))
def test_what_a_table_names_exists(name: str) -> None:
    assert exists(name) or name in TOLD


@pytest.mark.parametrize("name", [name for name in NAMES if points_into_the_code(name)])
def test_what_the_text_names_exists(name: str) -> None:
    assert exists(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".py")])
def test_modules_named_as_files_exist(name: str) -> None:
    assert name.removesuffix(".py") in MODULES or any(ROOT.glob(f"tests/**/{name}"))


@pytest.mark.parametrize("path", PATHS)
def test_files_that_are_named_exist(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmarks_that_are_named_exist(name: str) -> None:
    assert (ROOT / Path(*name.split(".")).with_suffix(".py")).exists()
