"""Addresses of a store: what each form means, and what is wrong with others, in one line."""

import pytest

from waitline import settings as chosen
from waitline.kernel.errors import Misconfigured
from waitline.valkey.address import StoreAddress, Topology, parse


def seeds(found: StoreAddress) -> list[tuple[str, int]]:
    return [(seed.host, seed.port) for seed in found.seeds]


@pytest.mark.parametrize(
    ("url", "topology", "hosts", "primary"),
    [
        ("redis://h", "server", [("h", 6379)], ""),
        ("redis://h:1/3", "server", [("h", 1)], ""),
        ("rediss://[::1]:2", "server", [("::1", 2)], ""),
        ("redis+cluster://a,b:7001", "cluster", [("a", 6379), ("b", 7001)], ""),
        ("redis+cluster://[::1]:1,[::2]:2/0", "cluster", [("::1", 1), ("::2", 2)], ""),
        ("redis+sentinel://a,b:3/line", "sentinel", [("a", 26379), ("b", 3)], "line"),
        ("rediss+sentinel://a/my%20line/2", "sentinel", [("a", 26379)], "my line"),
    ],
)
def test_forms(url: str, topology: str, hosts: list[tuple[str, int]], primary: str) -> None:
    found = parse(url)
    assert found.topology == Topology(topology)
    assert (seeds(found), found.primary) == (hosts, primary)
    assert chosen.load(valkey_url=url).store_url() == url
    assert {seed.tls for seed in found.seeds} == {url.startswith("rediss")}


def test_credentials_are_for_all_and_are_not_shown() -> None:
    found = parse("redis+sentinel://user:p%40ss,w@a,b/line/2")
    assert [(seed.username, seed.password, seed.database) for seed in found.seeds] == [
        ("user", "p@ss,w", 2)
    ] * 2
    assert str(found) == "a:26379,b:26379/line"
    socket = parse("unix://:secret@/run/valkey.sock")
    assert (socket.seeds[0].path, socket.seeds[0].password) == ("/run/valkey.sock", "secret")


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("redis://a,b", "write redis\\+cluster:// for nodes of a cluster, or redis\\+sentinel://"),
        ("redis+sentinel://a,b", "lacks the name by which the Sentinels know the primary"),
        ("redis+cluster://a/1", "a cluster has database 0 only: remove the number"),
        ("redis+cluster://a:x", "no valid port"),
        ("redis+cluster://", "names no host"),
        ("redis+cluster://,", "names no host"),
        ("redis+ring://a", "must begin with unix:// or redis://"),
        ("redis://a/b", "has a path that is not a database number"),
    ],
)
def test_faults_are_found_before_anything_starts(url: str, fault: str) -> None:
    with pytest.raises(Misconfigured, match=fault) as raised:
        chosen.load(valkey_url=url)
    assert "\n" not in str(raised.value)
    assert "--valkey-url" in str(raised.value)
