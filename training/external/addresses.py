"""Where an external model's address leads: parsed, resolved once, and refused where it is not public.

Whoever connects does so to the `address` that was looked at here and never resolves the name again, so that a name that
leads elsewhere a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from annotation.refusals import Refused
from training.external.problems import EndpointError, Problem

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
PORTS = {"https": 443, "http": 80}
LONGEST_HOST = 253  # of DNS
OF_A_PATH = "/%!$&'()*+,;=:@~"  # what stands in one as it is; the rest, such as Chinese, is sent in percents
# Public by their number, but within a cloud they answer with its secrets: Azure's and Oracle's.
INNER = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "192.0.0.192")))
NAT64 = ipaddress.ip_network("64:ff9b::/96")
SITE_LOCAL = ipaddress.ip_network("fec0::/10")  # private before fc00::/7 was, and global as Python has it


@dataclass(frozen=True)
class Place:
    """What a base URL says."""

    scheme: str
    host: str
    port: int
    path: str


@dataclass(frozen=True)
class Target(Place):
    """A place whose name was resolved to `address`, which may be called."""

    address: str


def parse(url: str) -> Place:
    """Refused unless it is a plain http or https URL: with a host, and without a user, a query or a fragment."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        host, port = "", 0
    if not host or len(host) > LONGEST_HOST or not port or not url.isprintable() or not _is_plain(parts):
        raise Refused(
            _("%(url)s is no address of an endpoint; expected one such as https://api.example.org/v1.") % {"url": url}
        )
    return Place(parts.scheme, host, port, quote(parts.path.rstrip("/"), safe=OF_A_PATH))


def _is_plain(parts: SplitResult) -> bool:
    """Beside scheme, host and port a path at most."""
    return parts.scheme in PORTS and parts.username is None and not parts.query and not parts.fragment


def resolve(place: Place) -> Target:
    """EndpointError unless all that the name stands for may be called: one inner address among them is enough."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise EndpointError(Problem.NO_NAME, place.host) from None
    addresses = [ipaddress.ip_address(each[4][0]) for each in found]
    for address in addresses:
        if is_allowed(address):
            continue
        if not is_public(address):
            raise EndpointError(Problem.NOT_PUBLIC, address)
        if place.scheme != "https":
            raise EndpointError(Problem.PLAIN_HTTP)
    return Target(place.scheme, place.host, place.port, place.path, str(addresses[0]))


def is_allowed(address: Address) -> bool:
    """Whether the operator has named a network that it is in."""
    return any(address in network for network in settings.ENDPOINT_NETWORKS)


def is_public(address: Address) -> bool:
    """Neither private, loopback, link-local, shared, multicast nor a cloud's metadata, however it is written."""
    plain = _within(address)
    is_inner = plain.is_multicast or plain.is_reserved or plain in INNER or plain in SITE_LOCAL
    return plain.is_global and not is_inner


def _within(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address
