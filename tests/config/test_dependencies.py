from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = {"annotation", "benchmarks", "config", "tests", "training"}
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())
ALGORITHMS = ROOT / "training" / "algorithms"


def plain(name: str) -> str:
    """A distribution's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name)[0]).lower()


def declared(*groups: str) -> set[str]:
    lines = [*DECLARED["project"]["dependencies"]]
    for group in groups:
        lines += DECLARED["dependency-groups"][group]
    return {plain(line) for line in lines}


def imported(files: Iterator[Path]) -> dict[str, str]:
    """The distributions that the files import, each with one of the files."""
    distributions, found = packages_distributions(), {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for top in {name.split(".")[0] for name in names} - OURS - set(sys.stdlib_module_names):
                (distribution, *_others) = distributions.get(top, [top])
                found[plain(distribution)] = str(file.relative_to(ROOT))
    return found


def web_files() -> Iterator[Path]:
    folders = ("annotation", "config", "training")
    return (file for name in folders for file in (ROOT / name).rglob("*.py") if ALGORITHMS not in file.parents)


@pytest.mark.parametrize(
    ("files", "groups"),
    [
        pytest.param(web_files(), (), id="the web needs nothing but the base"),
        pytest.param(ALGORITHMS.rglob("*.py"), ("train",), id="the algorithms need nothing but the train group"),
        pytest.param((ROOT / "tests").rglob("*.py"), ("train", "test"), id="the tests need nothing but their group"),
    ],
)
def test_what_is_imported_is_declared(files: Iterator[Path], groups: tuple[str, ...]) -> None:
    missing = {name: file for name, file in imported(files).items() if name not in declared(*groups)}
    assert missing == {}


def test_what_is_declared_is_pinned() -> None:
    pins = {plain(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")}
    assert declared("train", "test", "dev") - pins == set()
