"""Where an external model may be: what is refused before a connection is made."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest

from annotation.refusals import Refused
from training.external import addresses
from training.external.addresses import Place, parse, resolve
from training.external.problems import EndpointError, Problem


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "localhost",
        "10.0.0.8", "172.16.3.4", "192.168.1.1", "100.64.0.1", "100.100.100.200",
        "169.254.169.254", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "240.0.0.1",
        "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_an_inner_address_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(EndpointError) as refusal:
        resolve(Place("https", host, 443, "/v1"))
    assert refusal.value.problem in (Problem.NOT_PUBLIC, Problem.NO_NAME)
    if ":" not in host:
        assert refusal.value.problem == Problem.NOT_PUBLIC


@pytest.mark.parametrize("host", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111"])
def test_a_public_address_is_called_by_https_alone(host: str) -> None:
    assert resolve(Place("https", host, 443, "")).address == host
    with pytest.raises(EndpointError) as refusal:
        resolve(Place("http", host, 80, ""))
    assert refusal.value.problem == Problem.PLAIN_HTTP


def test_the_operator_may_allow_a_network(settings: Any) -> None:
    settings.ENDPOINT_NETWORKS = [ipaddress.ip_network("10.1.0.0/16")]
    assert resolve(Place("http", "10.1.2.3", 8000, "/v1")).address == "10.1.2.3"
    with pytest.raises(EndpointError):
        resolve(Place("http", "10.2.2.3", 8000, "/v1"))


def test_a_name_with_one_inner_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, [["1.1.1.1", "169.254.169.254"]])
    with pytest.raises(EndpointError) as refusal:
        resolve(Place("https", "models.test", 443, ""))
    assert (refusal.value.problem, refusal.value.detail) == (Problem.NOT_PUBLIC, "169.254.169.254")


def test_a_name_that_leads_nowhere_says_so() -> None:
    with pytest.raises(EndpointError) as refusal:
        resolve(Place("https", "nowhere.invalid", 443, ""))
    assert (refusal.value.problem, refusal.value.detail) == (Problem.NO_NAME, "nowhere.invalid")


@pytest.mark.parametrize(
    "url",
    [
        "", "api.example.org/v1", "ftp://example.org", "file:///etc/passwd", "https://", "https://user:pw@example.org",
        "https://example.org/?key=1", "https://example.org/#x", "https://exa mple.org:x/", "https://example.org:99999/",
        "https://example.org/\nHost: evil", "javascript:alert(1)", "https://[::1", "https://" + "a" * 70 + ".org/",
        "ftp://example.org:21/", "https://" + "ü." * 60 + "org/",
    ],
)  # fmt: skip
def test_what_is_no_address_of_an_endpoint_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="expected one such as"):
        parse(url)


def test_an_address_is_taken_apart() -> None:
    assert parse("https://api.example.org/v1/") == Place("https", "api.example.org", 443, "/v1")
    assert parse("http://[::1]:8000") == Place("http", "::1", 8000, "")
    assert parse("https://bücher.example/v1").host == "xn--bcher-kva.example"


def answer_with(monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]) -> list[str]:
    """The resolver's next answers to names; the names it was asked for. Numbers are still told by the real one."""
    asked: list[str] = []
    really = socket.getaddrinfo

    def answer(host: str, port: Any, *args: Any, **named: Any) -> Any:
        if not host.endswith(".test"):
            return really(host, port, *args, **named)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in answers[len(asked) - 1]]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", answer)
    return asked
