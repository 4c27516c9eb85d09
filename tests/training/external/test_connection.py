"""One call to a real server on loopback, also to those that mean ill: it ends in time, small, and nowhere else."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.exceptions import ImproperlyConfigured

from config.env import env_networks
from tests.training.external.endpoint import (
    KEY,
    Endpoint,
    Handler,
    completion,
    drips,
    drips_headers,
    endpoint,
    never_ends,
    says,
    sends_elsewhere,
)
from tests.training.external.test_addresses import answer_with
from training.external import connection
from training.external.addresses import Place, parse, resolve
from training.external.connection import Reply, post
from training.external.problems import EndpointError, Problem

QUESTION = {"model": "tiny", "messages": [{"role": "user", "content": "Why?"}]}


def call(made: Endpoint, *, key: str = KEY) -> Reply:
    return post(resolve(parse(made.url)), QUESTION, key=key)


def problem_of(made: Endpoint) -> Problem:
    with pytest.raises(EndpointError) as error:
        call(made)
    return error.value.problem


def test_a_call_takes_the_key_along_and_brings_the_reply(server: Endpoint) -> None:
    server.behave(says({"fine": True}))
    assert call(server) == Reply(200, {"fine": True}, 0.0)
    [asked] = server.asked
    assert (asked.path, asked.content) == ("/v1/chat/completions", QUESTION)
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["Host"] == f"127.0.0.1:{server.port}"
    call(server, key="")
    assert "Authorization" not in server.asked[-1].headers


@pytest.mark.parametrize("to", ["http://169.254.169.254/latest/meta-data/", "/elsewhere", "file:///etc/passwd"])
def test_a_redirect_is_not_followed(server: Endpoint, to: str) -> None:
    server.behave(sends_elsewhere(to))
    assert call(server).status == 302
    assert len(server.asked) == 1


@pytest.mark.parametrize("how", [drips, drips_headers])
def test_a_drip_is_cut_off(server: Endpoint, monkeypatch: pytest.MonkeyPatch, how: Callable[[Handler], None]) -> None:
    monkeypatch.setattr(connection, "SECONDS", 0.6)
    server.behave(how)
    begun = time.monotonic()
    assert problem_of(server) == Problem.TOO_SLOW
    assert time.monotonic() - begun < 10


def test_a_silent_server_is_not_waited_for(server: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SECONDS", 0.5)
    server.behave(lambda handler: time.sleep(3))
    assert problem_of(server) == Problem.TOO_SLOW


def test_a_body_without_an_end_is_left(server: Endpoint) -> None:
    server.behave(never_ends)
    assert problem_of(server) == Problem.TOO_LARGE


@pytest.mark.parametrize("size", [b"-1", b"-5", b"-ffffffff"])
def test_a_chunk_of_less_than_nothing_is_no_way_to_send_without_an_end(server: Endpoint, size: bytes) -> None:
    sent: list[int] = []
    server.behave(lambda handler: sends_chunk(handler, size, sent))
    assert problem_of(server) in (Problem.TOO_LARGE, Problem.NOT_REACHED)
    assert sum(sent) < 20_000_000


def sends_chunk(handler: Handler, size: bytes, sent: list[int]) -> None:
    """A chunk of that size, as it says, and far more bytes than anybody takes."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n")
    for _piece in range(1_000):
        handler.wfile.write(b"[" * 65_536)
        sent.append(65_536)


def test_a_huge_json_is_left_before_it_is_read_whole(server: Endpoint) -> None:
    server.behave(says(completion("x" * 5_000_000)))
    assert problem_of(server) == Problem.TOO_LARGE


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff\xfe", b"[" * 200_000, b'{"a": ' + b"9" * 9_000 + b"}"])
def test_what_is_not_json_has_no_content(server: Endpoint, body: bytes) -> None:
    server.behave(says(body))
    assert call(server).content is None


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 500,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 99_999,
    ],
)
def test_what_does_not_speak_http_is_not_reached(server: Endpoint, words: bytes) -> None:
    server.behave(lambda handler: handler.wfile.write(words + b"\r\n\r\n") and None)
    assert problem_of(server) == Problem.NOT_REACHED


def test_a_closed_port_is_not_reached(loopback: None) -> None:
    with endpoint() as gone:
        pass
    assert problem_of(gone) == Problem.NOT_REACHED


@pytest.mark.parametrize(
    ("said", "wait"),
    [("30", 30.0), ("99999", 3_600.0), ("Wed, 21 Oct", 0.0), ("-5", 0.0), ("9" * 4_000, 0.0), ("²", 0.0)],
)
def test_a_server_may_ask_to_wait_for_an_hour_at_most(server: Endpoint, said: str, wait: float) -> None:
    server.behave(
        lambda handler: raw(handler, f"HTTP/1.1 429 Too Many\r\nRetry-After: {said}\r\nContent-Length: 0\r\n")
    )
    assert call(server).wait == wait


def raw(handler: Handler, head: str) -> None:
    handler.wfile.write(head.encode() + b"\r\n")
    handler.close_connection = True


def test_a_proxy_of_the_environment_is_not_asked(server: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        call(server)
        assert (len(server.asked), len(proxy.asked)) == (1, 0)


def test_a_name_is_resolved_once_and_the_address_that_was_looked_at_is_called(
    server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name leads to the metadata the second time somebody asks: nobody does."""
    asked = answer_with(monkeypatch, [["127.0.0.1"], ["169.254.169.254"]])
    assert post(resolve(Place("http", "models.test", server.port, "/v1")), QUESTION, key="").status == 200
    assert (asked, server.asked[0].headers["Host"]) == (["models.test"], f"models.test:{server.port}")


class TestEncrypted:
    @pytest.fixture
    def tls(self, tmp_path: Path, loopback: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
        """A server with a certificate for models.test, which this machine is told to trust."""
        certificate = certificate_for("models.test", tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        with endpoint(tls=context) as made:
            yield made

    def post_to(self, tls: Endpoint, name: str) -> Reply:
        return post(resolve(Place("https", name, tls.port, "/v1")), QUESTION, key=KEY)

    def test_the_certificate_is_looked_at_for_the_name_though_the_address_is_called(
        self, tls: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer_with(monkeypatch, [["127.0.0.1"]])
        assert self.post_to(tls, "models.test").status == 200
        assert tls.asked[0].headers["Host"] == f"models.test:{tls.port}"

    def test_another_name_is_not_trusted_and_gets_no_key(self, tls: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        answer_with(monkeypatch, [["127.0.0.1"]])
        with pytest.raises(EndpointError) as error:
            self.post_to(tls, "others.test")
        assert (error.value.problem, tls.asked) == (Problem.NOT_TRUSTED, [])

    def test_a_certificate_of_nobody_is_not_trusted(self, tls: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SSL_CERT_FILE")
        answer_with(monkeypatch, [["127.0.0.1"]])
        with pytest.raises(EndpointError) as error:
            self.post_to(tls, "models.test")
        assert error.value.problem == Problem.NOT_TRUSTED

    def test_an_encrypted_drip_is_cut_off_too(self, tls: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "SECONDS", 1.0)
        answer_with(monkeypatch, [["127.0.0.1"]])
        tls.behave(drips)
        with pytest.raises(EndpointError) as error:
            self.post_to(tls, "models.test")
        assert error.value.problem == Problem.TOO_SLOW


def certificate_for(name: str, folder: Path) -> Path:
    """A key and the certificate that it signed itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_networks_of_the_environment_are_read_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPOINT_NETWORKS", "10.0.0.0/8, fd00::/8")
    assert env_networks("ENDPOINT_NETWORKS") == [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]
    for wrong in ("10.0.0.1/8", "localhost", "yes"):
        monkeypatch.setenv("ENDPOINT_NETWORKS", wrong)
        with pytest.raises(ImproperlyConfigured, match="expected networks"):
            env_networks("ENDPOINT_NETWORKS")
