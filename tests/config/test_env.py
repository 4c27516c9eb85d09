from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.env import env_bool, env_int, env_list, env_money, env_str, kept_secret


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_SETTING", raising=False)


def test_what_is_not_set_has_its_default() -> None:
    assert env_str("SOME_SETTING", "x") == "x"
    assert env_int("SOME_SETTING", 5) == 5
    assert env_list("SOME_SETTING", ["a"]) == ["a"]
    assert env_bool("SOME_SETTING", default=True) is True


def test_what_is_set_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SETTING", " a, b,,c ")
    assert env_list("SOME_SETTING", []) == ["a", "b", "c"]
    monkeypatch.setenv("SOME_SETTING", "12")
    assert env_int("SOME_SETTING", 0) == 12
    monkeypatch.setenv("SOME_SETTING", "False")
    assert env_bool("SOME_SETTING", default=True) is False


@pytest.mark.parametrize("value", ["true", "1", "yes", "off"])
def test_a_truth_value_that_could_be_misread_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOME_SETTING", value)
    with pytest.raises(ImproperlyConfigured, match=f"SOME_SETTING is '{value}'; expected True or False"):
        env_bool("SOME_SETTING", default=False)


def test_a_number_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SETTING", "many")
    with pytest.raises(ImproperlyConfigured, match="SOME_SETTING is 'many'; expected a whole number"):
        env_int("SOME_SETTING", 0)


def test_a_number_that_is_too_small_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SETTING", "0")
    assert env_int("SOME_SETTING", 5, low=0) == 0
    with pytest.raises(ImproperlyConfigured, match="SOME_SETTING is 0; expected at least 1"):
        env_int("SOME_SETTING", 5, low=1)


def test_an_amount_of_money_names_its_currency(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env_money("SOME_SETTING") is None
    monkeypatch.setenv("SOME_SETTING", "2.40 EUR")
    assert env_money("SOME_SETTING") == (Decimal("2.40"), "EUR")
    for wrong in ("2.40", "EUR 2", "-1 EUR", "2,40 EUR"):
        monkeypatch.setenv("SOME_SETTING", wrong)
        with pytest.raises(ImproperlyConfigured, match=r"expected an amount and a currency, as in 2\.40 EUR"):
            env_money("SOME_SETTING")


def test_a_secret_is_made_once_whoever_asks_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret"
    with ThreadPoolExecutor(8) as threads:
        got = set(threads.map(lambda number: kept_secret(path, f"secret-{number}"), range(8)))
    assert got == {path.read_text()}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret"]
