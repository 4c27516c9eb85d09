"""Reading the environment: each helper fails loudly, saying what was found and what was expected."""

from __future__ import annotations

import ipaddress
import os
import re
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from tempfile import NamedTemporaryFile

from django.core.exceptions import ImproperlyConfigured


def env_str(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def env_bool(name: str, *, default: bool) -> bool:
    value = os.environ.get(name, "")
    if value == "":
        return default
    if value in ("True", "False"):
        return value == "True"
    raise ImproperlyConfigured(f"{name} is {value!r}; expected True or False. Set {name}=True or {name}=False.")


def env_int(name: str, default: int, *, low: int | None = None) -> int:
    value = os.environ.get(name, "")
    if value == "":
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; expected a whole number.") from None
    if low is not None and number < low:
        raise ImproperlyConfigured(f"{name} is {number}; expected at least {low}.")
    return number


def env_money(name: str) -> tuple[Decimal, str] | None:
    """An amount and its currency, as in 2.40 EUR."""
    value = os.environ.get(name, "")
    if value == "":
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ([A-Z]{3})", value)
    if found is None:
        raise ImproperlyConfigured(f"{name} is {value!r}; expected an amount and a currency, as in 2.40 EUR.")
    return Decimal(found[1]), found[2]


def env_list(name: str, default: list[str]) -> list[str]:
    value = os.environ.get(name, "")
    return [part.strip() for part in value.split(",") if part.strip()] if value else default


def env_networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Networks of addresses, separated by commas, as in 10.0.0.0/8,fd00::/8."""
    try:
        return [ipaddress.ip_network(part) for part in env_list(name, [])]
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} is {os.environ[name]!r} ({error}); expected networks, as in 10.0.0.0/8,127.0.0.1/32."
        ) from None


def kept_secret(path: Path, make: str) -> str:
    """The secret stored at `path`; the first caller stores `make` there, readable by the owner alone.

    Several processes or threads may ask at once: whoever creates the file wins and the other reads it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, prefix=".") as draft:  # the owner's alone from the start
        draft.write(make)
        draft.flush()
        with suppress(FileExistsError):
            os.link(draft.name, path)
    return path.read_text()
