from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from config import install

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> install.Environment:
    """An environment that stands, over a project file of its own."""
    monkeypatch.setattr(install, "PYPROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(install, "CONSTRAINTS", tmp_path / "constraints.txt")
    install.PYPROJECT.write_text('[project]\ndependencies = ["a"]\n[dependency-groups]\ntrain = ["b"]\ntest = ["c"]')
    install.CONSTRAINTS.write_text("a==1")
    environment = install.Environment(tmp_path / "venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment.folder], check=True)
    return environment


def installed_by(environment: install.Environment, groups: set[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What pip is asked for: the network is not this test's matter."""
    asked: list[str] = []
    monkeypatch.setattr(environment, "install", lambda requirements, progress: asked.extend(requirements))
    install.install(environment, groups)
    return asked


def test_the_second_time_nothing_is_installed(
    environment: install.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installed_by(environment, {"train"}, monkeypatch) == ["a", "b"]
    assert installed_by(environment, {"train"}, monkeypatch) == []
    assert installed_by(environment, set(), monkeypatch) == []


def test_a_further_group_is_added_and_none_is_lost(
    environment: install.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_by(environment, {"train"}, monkeypatch)
    assert installed_by(environment, {"test"}, monkeypatch) == ["a", "b", "c"]
    assert installed_by(environment, {"train", "test"}, monkeypatch) == []


@pytest.mark.parametrize("name", ["PYPROJECT", "CONSTRAINTS"])
def test_a_changed_file_installs_anew(
    environment: install.Environment, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    installed_by(environment, set(), monkeypatch)
    path: Path = getattr(install, name)
    path.write_text(path.read_text() + "\n")
    assert installed_by(environment, set(), monkeypatch) == ["a"]


def test_a_failed_installation_is_not_remembered(
    environment: install.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(requirements: list[str], progress: install.Progress) -> None:
        raise SystemExit("no network")

    monkeypatch.setattr(environment, "install", fail)
    with pytest.raises(SystemExit):
        install.install(environment, set())
    assert environment.groups() is None


def test_an_environment_whose_python_is_gone_is_made_again(environment: install.Environment) -> None:
    assert environment.works()
    environment.python.unlink()
    environment.python.symlink_to("/nowhere/python3")
    assert not environment.works()


def test_every_pinned_version_is_exact_and_torch_is_the_one_tested_with() -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all("==" in pin and "+" not in pin for pin in pins)
    assert "torch==2.13.0" in pins
    assert "torch==2.13.0" in install.requirements({"train"})


def test_progress_without_a_terminal_says_what_and_how_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "QUIET_LINE_EVERY", 0.05)
    progress = install.Progress(steps=1)
    with progress.step("Installing things", "2 min"):
        progress.say("Downloading torch")
        time.sleep(0.12)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[1/1] Installing things (about 2 min)"
    assert "Downloading torch 0:00" in lines[1]
    assert lines[-1] == "[1/1] Installing things (about 2 min): done in 0:00"


def test_translations_are_compiled_when_they_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "ROOT", tmp_path)
    source = tmp_path / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
    source.parent.mkdir(parents=True)
    source.write_text('msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "Rank"\nmsgstr "排序"\n')
    environment = install.Environment(tmp_path / "unused")
    environment.python = Path(sys.executable)
    install.compile_translations(environment)
    compiled = source.with_suffix(".mo")
    assert "排序".encode() in compiled.read_bytes()
    before = compiled.stat().st_mtime_ns
    install.compile_translations(environment)
    assert compiled.stat().st_mtime_ns == before


def test_the_makefile_lists_its_commands() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for command in ("run", "setup", "test", "test-long", "lint", "fmt", "messages"):
        assert f"make {command} " in said
