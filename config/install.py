"""Set up `.venv` from nothing but this Python: `python config/install.py [--groups train,test,dev] [--browser]`.

Needs the standard library alone. It shows what it does and about how long that takes, and remembers what it installed,
so that the next call takes a moment.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT, CONSTRAINTS = ROOT / "pyproject.toml", ROOT / "constraints.txt"
OLDEST_PYTHON = (3, 11)
GROUPS = ("train", "test", "dev")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER_PACKAGES = ("chromium", "fonts-noto-cjk")
QUIET_LINE_EVERY = 20.0


class Progress:
    """One line a step: `[2/4] torch, the learning engine (about 2 min) … Downloading torch-2.13.0 1:05`."""

    def __init__(self, steps: int) -> None:
        self._steps, self._step = steps, 0
        self._live = sys.stdout.isatty()
        self._detail = ""

    def say(self, text: str) -> None:
        self._detail = text

    @contextmanager
    def step(self, title: str, usually: str) -> Iterator[None]:
        self._step, self._detail = self._step + 1, ""
        head = f"[{self._step}/{self._steps}] {title} (about {usually})"
        print(head, end="" if self._live else "\n", flush=True)
        started, done = time.monotonic(), threading.Event()
        shower = threading.Thread(target=self._show, args=(head, started, done), daemon=True)
        shower.start()
        try:
            yield
        finally:
            done.set()
            shower.join()
        print(f"{self._clear()}{head}: done in {_clock(time.monotonic() - started)}", flush=True)

    def _show(self, head: str, started: float, done: threading.Event) -> None:
        width = shutil.get_terminal_size().columns - 1
        while not done.wait(0.25 if self._live else QUIET_LINE_EVERY):
            line = f"{head} … {self._detail} {_clock(time.monotonic() - started)}"
            if self._live:
                print(f"{self._clear()}{line[:width]}", end="", flush=True)
            else:
                print(f"      {self._detail} {_clock(time.monotonic() - started)}", flush=True)

    def _clear(self) -> str:
        return "\r\x1b[K" if self._live else ""


class Environment:
    """The virtual environment, and the note in it that says what it holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self._note = folder / "installed.json"

    def works(self) -> bool:
        """Whether its interpreter still runs: it is a link to one that may have been removed or upgraded since."""
        try:
            return subprocess.run([self.python, "-c", ""], capture_output=True).returncode == 0
        except OSError:
            return False

    def groups(self) -> set[str] | None:
        """The groups installed from the files as they are now; None if the files have changed or nothing is there."""
        try:
            note = json.loads(self._note.read_text())
            return set(note["groups"]) if note["files"] == _fingerprint() else None
        except (OSError, ValueError, KeyError):
            return None

    def remember(self, groups: set[str]) -> None:
        self._note.write_text(json.dumps({"files": _fingerprint(), "groups": sorted(groups)}))

    def create(self) -> None:
        for arguments in (["--clear"], ["--clear", "--without-pip"]):
            made = subprocess.run(
                [sys.executable, "-m", "venv", *arguments, self.folder], capture_output=True, text=True
            )
            if (
                made.returncode == 0
                and subprocess.run([*self._pip(), "--version"], capture_output=True).returncode == 0
            ):
                return
        raise SystemExit(
            f"{self.folder} could not be made: this Python ({sys.executable}) comes without pip and ensurepip.\n"
            "On Debian and Ubuntu: apt-get install python3-venv. Elsewhere install a complete Python 3.11 or later."
        )

    def install(self, requirements: Sequence[str], progress: Progress) -> None:
        command = [*self._pip(), "install", "--progress-bar", "off", "--disable-pip-version-check"]
        command += ["--constraint", str(CONSTRAINTS), *requirements]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as pip:
            lines = []
            for line in pip.stdout or ():
                lines.append(line)
                if not line.startswith(("WARNING", "  ")):
                    progress.say(line.strip()[:60])
        if pip.returncode != 0:
            raise SystemExit(f"\npip failed; the end of what it said:\n{''.join(lines[-25:])}")

    def _pip(self) -> list[str]:
        if (self.folder / "bin" / "pip").exists():
            return [str(self.python), "-m", "pip"]
        return [sys.executable, "-m", "pip", "--python", str(self.python)]


def requirements(groups: set[str]) -> list[str]:
    """What the web needs, and what the groups add, as pyproject.toml lists them."""
    import tomllib  # not there before Python 3.11, which main() is to report

    declared = tomllib.loads(PYPROJECT.read_text())
    return [
        *declared["project"]["dependencies"],
        *(line for group in GROUPS if group in groups for line in declared["dependency-groups"][group]),
    ]


def install(environment: Environment, groups: set[str]) -> None:
    """Bring the environment to hold `groups` and what it held before; nothing to do if it already does."""
    held = environment.groups() if environment.works() else None
    if held is not None and groups <= held:
        return
    wanted = groups | (held or set())
    needed = requirements(wanted)
    torch = [line for line in needed if line.startswith("torch==")]
    fresh = not environment.works()
    progress = Progress(steps=1 + bool(torch) + fresh)
    if fresh:
        with progress.step(f"Making {environment.folder.name}", "10 s"):
            environment.create()
    if torch:
        with progress.step("Installing torch, which does the learning", "2 min"):
            environment.install(torch, progress)
    with progress.step(f"Installing {len(needed) - len(torch)} packages and what they need", "2 min"):
        environment.install(needed, progress)
    environment.remember(wanted)


def compile_translations(environment: Environment) -> None:
    """Compile the translations that have changed, with Babel: no gettext is needed."""
    for source in sorted(ROOT.glob("locale/*/LC_MESSAGES/*.po")):
        compiled = source.with_suffix(".mo")
        if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
            command = [str(environment.python), "-m", "babel.messages.frontend", "--quiet", "compile"]
            command += [
                "--input-file",
                str(source),
                "--output-file",
                str(compiled),
                "--locale",
                source.parent.parent.name,
            ]
            subprocess.run(command, check=True)


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def install_browser() -> None:
    """Have a Chromium for the browser tests: from Debian's packages if root may, else say how to get one."""
    if find_browser():
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        with Progress(steps=1).step("Installing Chromium for the browser tests", "1 min"):
            for command in (["update"], ["install", "--yes", "--no-install-recommends", *BROWSER_PACKAGES]):
                done = subprocess.run(
                    ["apt-get", "--quiet", *command],  # noqa: S607
                    env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                    stdin=subprocess.DEVNULL, capture_output=True, text=True,
                )  # fmt: skip
            if done.returncode != 0:
                raise SystemExit(f"\napt-get could not install Chromium:\n{done.stderr[-2000:]}")
    else:
        print(
            "No Chromium was found, so the browser tests will be skipped. To run them, install one: "
            "apt-get install chromium (Debian, Ubuntu), dnf install chromium (Fedora), brew install chromium (macOS)."
        )


def _fingerprint() -> str:
    version = ".".join(map(str, sys.version_info[:2])).encode()
    return hashlib.sha256(b"\0".join([PYPROJECT.read_bytes(), CONSTRAINTS.read_bytes(), version])).hexdigest()


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--groups", default="train", help="comma-separated: train, test, dev; empty for the web alone")
    parser.add_argument("--browser", action="store_true", help="see to a Chromium for the browser tests as well")
    options = parser.parse_args()
    groups = set(filter(None, options.groups.split(",")))
    if unknown := groups - set(GROUPS):
        parser.error(f"unknown groups: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    environment = Environment(options.venv)
    with PYPROJECT.open() as alone:  # two commands started at once install one after the other
        fcntl.flock(alone, fcntl.LOCK_EX)
        install(environment, groups)
        compile_translations(environment)
        if options.browser:
            install_browser()


if __name__ == "__main__":
    if sys.version_info < OLDEST_PYTHON:
        raise SystemExit(f"Plumbline needs Python 3.11 or later; this one is {sys.version.split()[0]}.")
    main()
