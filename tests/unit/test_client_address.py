"""Whose address is believed: the peer's, or what trusted proxies say."""

import pytest

from waitline.http.client_address import ClientAddresses, networks
from waitline.kernel.errors import Misconfigured
from waitline.settings import load

TRUSTED = "10.0.0.0/8, 2001:db8:f::/48, 192.0.2.1, unix"


@pytest.mark.parametrize(
    ("peer", "header", "client"),
    [
        pytest.param("203.0.113.7", None, "203.0.113.7", id="direct"),
        pytest.param("203.0.113.7", "198.51.100.1", "203.0.113.7", id="untrusted-peer"),
        pytest.param("10.1.2.3", None, "10.1.2.3", id="proxy-without-header"),
        pytest.param("10.1.2.3", "198.51.100.1", "198.51.100.1", id="one-proxy"),
        pytest.param("10.1.2.3", "6.6.6.6, 198.51.100.1", "198.51.100.1", id="forged"),
        pytest.param("10.1.2.3", "6.6.6.6, 198.51.100.1, 10.9.9.9", "198.51.100.1", id="two"),
        pytest.param("10.1.2.3", "10.6.6.6, 198.51.100.1", "198.51.100.1", id="forged-as-proxy"),
        pytest.param("10.1.2.3", "10.0.0.1, 10.0.0.2", "10.0.0.1", id="proxies-only"),
        pytest.param("10.1.2.3", "198.51.100.1, unknown", "10.1.2.3", id="unknown"),
        pytest.param("10.1.2.3", "198.51.100.1, ,10.0.0.1", "10.0.0.1", id="empty-entry"),
        pytest.param("10.1.2.3", "", "10.1.2.3", id="empty"),
        pytest.param("10.1.2.3", "garbage\xff", "10.1.2.3", id="garbage"),
        pytest.param("10.1.2.3", "198.51.100.1:4711", "198.51.100.1", id="port"),
        pytest.param("10.1.2.3", "[2001:db8::7]:4711", "2001:db8::7", id="ipv6-port"),
        pytest.param("10.1.2.3", "2001:DB8::7", "2001:db8::7", id="ipv6"),
        pytest.param("10.1.2.3", "::ffff:198.51.100.1", "198.51.100.1", id="mapped"),
        pytest.param("::ffff:10.1.2.3", "198.51.100.1", "198.51.100.1", id="mapped-peer"),
        pytest.param("2001:db8:f::1", "198.51.100.1", "198.51.100.1", id="ipv6-proxy"),
        pytest.param("fe80::1%eth0", None, "fe80::1%eth0", id="zone"),
        pytest.param("", "198.51.100.1", "198.51.100.1", id="unix-socket"),
        pytest.param("10.1.2.3", "198.51.100.1," * 500 + "10.0.0.1", "198.51.100.1", id="long"),
    ],
)
def test_x_forwarded_for(peer: str, header: str | None, client: str) -> None:
    headers = {b"forwarded": b"for=6.6.6.6"}
    if header is not None:
        headers[b"x-forwarded-for"] = header.encode("latin-1")
    assert ClientAddresses(TRUSTED).of(peer, headers) == client


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("for=198.51.100.1", "198.51.100.1"),
        ('For="[2001:db8::7]:4711";proto=https;by=10.0.0.1', "2001:db8::7"),
        ("for=6.6.6.6, for=198.51.100.1;host=a", "198.51.100.1"),
        ('for="6.6.6.6,7", proto=http;for=198.51.100.1, for=10.0.0.2', "198.51.100.1"),
        ("for=_hidden", "10.1.2.3"),
        ("proto=https", "10.1.2.3"),
    ],
)
def test_forwarded(header: str, client: str) -> None:
    headers = {b"forwarded": header.encode(), b"x-forwarded-for": b"6.6.6.6"}
    assert ClientAddresses(TRUSTED, "forwarded").of("10.1.2.3", headers) == client


def test_nobody_is_trusted_by_default() -> None:
    assert ClientAddresses().of("", {b"x-forwarded-for": b"6.6.6.6"}) == "unix"
    assert ClientAddresses().of("127.0.0.1", {b"x-forwarded-for": b"6.6.6.6"}) == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "narrow", "wide"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("unix", "unix", "unix"),
    ],
)
def test_networks(address: str, narrow: str, wide: str) -> None:
    assert networks(address) == (narrow, wide)


@pytest.mark.parametrize("wrong", ["10.0.0.0/33", "proxy", "10.0.0.1;10.0.0.2", " "])
def test_bad_proxies_are_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(Misconfigured, match=r"^--trusted-proxies: [^\n]+$"):
        load(trusted_proxies=wrong)
