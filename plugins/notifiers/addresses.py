"""Which addresses a notifier may go to: the public internet, and what the site's `allow` opens.

Where a host name leads is for others to say: to 127.0.0.1, to a router's page, to a cloud's metadata service, and we
would ask there in the site's name. Ranges: the special-purpose registries of IANA (RFC 6890), as numbers here because
`ipaddress.is_global` differs between versions of Python.
"""

import ipaddress
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

from edge.api import _, mark

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HERE, _LOOPBACK = mark("an address of this host"), mark("a loopback address")
_PRIVATE, _LINK = mark("a private address"), mark("a link-local address")
_RESERVED, _MULTICAST = mark("a reserved address"), mark("a multicast address")
NOT_PUBLIC: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", _HERE),
    ("10.0.0.0/8", _PRIVATE),
    ("100.64.0.0/10", _PRIVATE),  # carriers' NAT
    ("127.0.0.0/8", _LOOPBACK),
    ("169.254.0.0/16", _LINK),  # clouds' metadata
    ("172.16.0.0/12", _PRIVATE),
    ("192.0.0.0/24", _RESERVED),
    ("192.0.2.0/24", _RESERVED),
    ("192.88.99.0/24", _RESERVED),  # relays of 6to4
    ("192.168.0.0/16", _PRIVATE),
    ("198.18.0.0/15", _RESERVED),
    ("198.51.100.0/24", _RESERVED),
    ("203.0.113.0/24", _RESERVED),
    ("224.0.0.0/4", _MULTICAST),
    ("240.0.0.0/4", _RESERVED),
    ("::/128", _HERE),
    ("::1/128", _LOOPBACK),
    ("64:ff9b:1::/48", _PRIVATE),  # NAT64 with a prefix of its own, RFC 8215
    ("2001::/23", _RESERVED),  # Teredo, ORCHID, benchmarks
    ("2001:db8::/32", _RESERVED),
    ("2002::/16", _RESERVED),  # 6to4
    ("3fff::/20", _RESERVED),
    ("fc00::/7", _PRIVATE),
    ("fe80::/10", _LINK),
    ("fec0::/10", _PRIVATE),
    ("ff00::/8", _MULTICAST),
)
_NOT_PUBLIC = tuple((ipaddress.ip_network(text), reason) for text, reason in NOT_PUBLIC)
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all of IPv6 that anybody was given
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as exc:
        raise ValueError(_("{text!r} is no range of addresses: write 192.168.1.0/24").format(text=text[:80])) from exc
    return text


Range = Annotated[str, AfterValidator(_network)]


def networks(ranges: Sequence[str]) -> tuple[Network, ...]:
    """The checked ranges of a site as networks."""
    return tuple(ipaddress.ip_network(text) for text in ranges)


def why_not(address: str, allow: Sequence[Network]) -> str:
    """Why nothing may be sent to this numeric address ("a private address"), or "" when it may.

    An IPv4 address inside an IPv6 one (::ffff:10.0.0.1, or behind a carrier's NAT64) counts as the IPv4 address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    inner = _inner(ip)
    if any(each in network for each in {ip, inner} for network in allow):
        return ""
    for network, reason in _NOT_PUBLIC:
        if inner in network:
            return reason
    return "" if inner.version == 4 or inner in _UNICAST else _RESERVED


def _inner(ip: Address) -> Address:
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip
