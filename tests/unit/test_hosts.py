"""The hosts of a database's address."""

import pytest

from waitline.postgres.hosts import each_host, name_of

SOCKETS = "postgresql://waitline@/shop?host={}"


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u:p@db/shop", ["postgresql://u:p@db/shop"]),
        ("postgresql:///shop", ["postgresql:///shop"]),
        (
            "postgresql://u:p@a:5432,b:5433/shop?sslmode=require",
            [
                "postgresql://u:p@a:5432/shop?sslmode=require",
                "postgresql://u:p@b:5433/shop?sslmode=require",
            ],
        ),
        (
            "postgresql://[::1]:1,[::2]/shop",
            ["postgresql://[::1]:1/shop", "postgresql://[::2]/shop"],
        ),
        # An at sign belongs to the password.
        ("postgresql://u:p@,@a,b/shop", ["postgresql://u:p@,@a/shop", "postgresql://u:p@,@b/shop"]),
        (SOCKETS.format("%2Fa"), [SOCKETS.format("%2Fa")]),
        (SOCKETS.format("%2Fa,%2Fb"), [SOCKETS.format("%2Fa"), SOCKETS.format("%2Fb")]),
        (
            SOCKETS.format("a,b&port=1,2"),
            [SOCKETS.format("a&port=1"), SOCKETS.format("b&port=2")],
        ),
        (SOCKETS.format("a,b&port=9"), [SOCKETS.format("a&port=9"), SOCKETS.format("b&port=9")]),
    ],
)
def test_each_host_has_an_address_of_its_own(url: str, hosts: list[str]) -> None:
    assert each_host(url) == hosts


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://u:p@db.example:5432/shop", "db.example"),
        ("postgresql://u@[::1]:5432/shop", "::1"),
        (SOCKETS.format("db.example&port=1"), "db.example"),
        (SOCKETS.format("%2Frun%2Fpostgresql"), ""),
    ],
)
def test_the_name_that_is_looked_up(url: str, name: str) -> None:
    assert name_of(url) == name
