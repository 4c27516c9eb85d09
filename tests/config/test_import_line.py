from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "accelerate", "peft", "safetensors")


def loaded(code: str) -> set[str]:
    """The heavy libraries that a fresh interpreter holds once it has run `code`."""
    report = f"; import sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(eval(done.stdout.splitlines()[-1]))


def test_the_web_never_imports_torch() -> None:
    assert loaded("import config.wsgi; from django.urls import get_resolver; get_resolver().url_patterns") == set()


def test_the_worker_never_imports_torch() -> None:
    assert (
        loaded("import django; from config.celery import app; django.setup(); app.loader.import_default_modules()")
        == set()
    )


def test_this_test_would_notice() -> None:
    assert loaded("import torch") == {"torch"}
