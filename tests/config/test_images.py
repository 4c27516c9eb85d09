"""The compose file and the Dockerfile, read as text: what must hold whoever runs them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ["migrate", "web", "worker-default", "worker-training", "beat"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SECRETS = ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD")


def stage(name: str) -> str:
    """The instructions of one stage of the Dockerfile."""
    (found,) = re.findall(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM|\Z)", DOCKERFILE, re.DOTALL | re.MULTILINE)
    return str(found)


def test_every_part_of_the_team_set_up_is_there() -> None:
    assert sorted(SERVICES) == sorted(["db", "redis", *OURS])


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_comes_from_the_environment_and_has_no_default(name: str) -> None:
    uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", (ROOT / "docker-compose.yml").read_text())
    assert uses
    assert all(use.startswith(":?") for use in uses)


def test_nobody_starts_before_the_database_is_migrated() -> None:
    waiting = {"db": "service_healthy", "redis": "service_healthy", "migrate": "service_completed_successfully"}
    for name in set(OURS) - {"migrate"}:
        assert {on: how["condition"] for on, how in SERVICES[name]["depends_on"].items()} == waiting
    assert SERVICES["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert SERVICES["migrate"]["restart"] == "no"


def test_db_and_redis_say_when_they_are_ready_and_keep_their_data() -> None:
    for name in ("db", "redis"):
        assert SERVICES[name]["healthcheck"]["test"]
        volume = SERVICES[name]["volumes"][0].split(":")[0]
        assert volume in COMPOSE["volumes"]


def test_only_the_web_is_reachable_and_from_this_machine_alone() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["web"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["web"]["ports"])


def test_our_containers_have_no_rights_to_give_away() -> None:
    for name in OURS:
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["environment"]["DATABASE_URL"].startswith("postgresql://")


def test_each_queue_has_a_worker_of_its_own() -> None:
    assert "--queues=default" in SERVICES["worker-default"]["command"]
    assert '"--queues", "training"' in stage("worker")
    assert "command" not in SERVICES["worker-training"]


def test_both_images_run_as_an_ordinary_user_and_report_their_health() -> None:
    for name in ("web", "worker"):
        assert "\nUSER plumbline\n" in stage(name)
        assert "\nHEALTHCHECK " in stage(name)


def test_torch_is_in_the_worker_image_alone() -> None:
    assert "--groups train" not in stage("base") + stage("web")
    assert "--groups train" in stage("worker")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = {re.split(r"[\[<>=]", line)[0] for line in declared["project"]["dependencies"]}
    assert names.isdisjoint({"torch", "transformers", "accelerate", "peft", "safetensors"})


def test_the_images_hold_the_program_and_nothing_else() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in allowed)
    assert not {"var", ".git", ".venv", "tests"} & set(allowed)
