"""Where a body ends, at every cut of the bytes, and what `Upgrade` and trailers mean: nothing."""

import asyncio

import msgspec
import pytest
import uvloop

from tests.edge.server import DEFAULTS, App, get, post
from tests.edge.wire import Answered, answers, converse, turn

BODY = b"GET /seen?evil HTTP/1.1\r\nHost: evil\r\n\r\n"
UPGRADES = {
    "websocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    # As the default HTTP client of Java sends it.
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n",
    "tls": b"connection: keep-alive, UPGRADE\r\nupgrade: TLS/1.0, HTTP/2.0\r\n",
    "none": b"",
}
FRAMES = {
    "length": b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n"
    b"7\r\n%b\r\n%x;a=b\r\n%b\r\n0\r\nX-Trailer: 1\r\n\r\n" % (BODY[:7], len(BODY) - 7, BODY[7:]),
}


@pytest.mark.parametrize("way", [b"/seen", b"/framework/seen"], ids=["hot", "framework"])
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("upgrade", UPGRADES)
def test_a_body_is_a_body_wherever_it_is_cut(upgrade: str, frame: str, way: bytes) -> None:
    async def run() -> None:
        app = App(DEFAULTS)
        head = b"POST " + way + b" HTTP/1.1\r\nHost: h\r\n" + UPGRADES[upgrade]
        first = head + FRAMES[frame]
        text = first + get("/seen?next")
        for cut in range(1, len(text)):
            got = answers(await converse(app, [text[:cut], text[cut:]]), ["POST", "GET"])
            assert [one.status for one in got] == [200, 200]
            _, _, fields, body = msgspec.json.decode(got[0].body)
            assert body == BODY.decode()
            assert "x-trailer" not in fields
            assert msgspec.json.decode(got[1].body)[1] == "next"

    uvloop.run(run())


BAD = {
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "list of lengths": b"Content-Length: 5, 6\r\n",
    "plus": b"Content-Length: +5\r\n",
    "minus": b"Content-Length: -5\r\n",
    "hex": b"Content-Length: 0x5\r\n",
    "empty": b"Content-Length:\r\n",
    "zeros": b"Content-Length: " + b"0" * 5_000 + b"\r\n",
    "digits": b"Content-Length: " + b"9" * 5_000 + b"\r\n",
    "not chunked at the end": b"Transfer-Encoding: chunked, gzip\r\n",
    "x chunked": b"Transfer-Encoding: xchunked\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "tab before the name": b"\tX: y\r\n",
    "blank before the colon": b"Content-Length : 5\r\n",
    "folded length": b"Content-Length:\r\n 5\r\n",
    "line feed": b"X: y\nContent-Length: 5\r\n",
    "carriage return": b"X: y\rContent-Length: 5\r\n",
    "carriage return inside, line feed at the end": b"X: y\rContent-Length: 5\nX: z\r\n",
    "nul": b"X: y\x00\r\n",
    "control": b"X: \x1b[31m\r\n",
    "second host": b"Host: other\r\n",
    "same host": b"Host: h\r\n",
    "two tokens": b"X-Queue-Token: a\r\nX-Queue-Token: b\r\n",
}


@pytest.mark.parametrize("name", BAD)
def test_two_readers_could_disagree(name: str) -> None:
    bad = b"POST /seen HTTP/1.1\r\nHost: h\r\n" + BAD[name] + b"\r\nhello"
    refused = _talk(get("/seen?1") + bad + get("/seen?2"), ["GET"])
    # The good request before it keeps its answer; nothing after it is read.
    assert [one.status for one in refused] == [200, 400]
    assert refused[1].fields["connection"] == "close"
    assert b"request-malformed" in refused[1].body


GOOD = {
    "the same length twice": (b"Content-Length: 2\r\nContent-Length: 2\r\n", b"hi"),
    "a list of one length": (b"Content-Length: 2, 2\r\n", b"hi"),
    "leading zeros": (b"Content-Length: 002\r\n", b"hi"),
    "chunks in any case": (b"Transfer-Encoding: CHUNKED\r\n", b"2\r\nhi\r\n0\r\n\r\n"),
    "an unknown connection option": (b"Connection: x\r\nContent-Length: 2\r\n", b"hi"),
}


@pytest.mark.parametrize("name", GOOD)
def test_one_reading_alone(name: str) -> None:
    fields, body = GOOD[name]
    text = b"POST /seen HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n" + body
    got = _talk(text + get("/seen?2"), ["POST", "GET"])
    assert [one.status for one in got] == [200, 200]
    assert msgspec.json.decode(got[0].body)[3] == "hi"


OTHER = {
    "coding": (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "expectation": (b"POST /seen HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\n\r\n", 417),
    "chunks in 1.0": (b"POST /seen HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "no host": (b"GET /seen HTTP/1.1\r\n\r\n", 400),
    "bad host": (b"GET /seen HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 505),
    "HTTP/0.9": (b"GET /seen\r\n\r\n", 400),
    "line feeds": (b"GET /seen HTTP/1.1\nHost: h\n\n", 400),
    "PROXY": (b"PROXY TCP4 192.0.2.1 192.0.2.2 5 80\r\nGET /seen HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "PROXY, version 2": (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + b"\1" * 12 + b"GET /", 400),
    "TLS": (b"\x16\x03\x01\x02\0\1\0\1\xfc\x03\x03" + b"x" * 100, 400),
    "no end": (b"GET /seen HTTP/1.1\r\nHost:", 400),
    "tunnel": (b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n\0\0\0\x08\4\xd2\x16\x2f", 405),
    "star": (b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "not text": (b"GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
def test_what_is_refused_ends_the_connection(name: str) -> None:
    text, status = OTHER[name]
    (answer,) = _talk(text, ["GET"])
    assert answer.status == status
    assert answer.fields["connection"] == "close"
    assert b"urn:waitline:problem:" in answer.body


CHUNKS = b"POST /seen HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"GET /seen HTTP/1.1\nHost: h", id="line feed"),
        pytest.param(b"GET /seen HTTP/1.1\r\nX: y\rHost: h", id="carriage return"),
        pytest.param(b"\x16\x03\x01", id="TLS"),
        pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 5 80\r\n", id="PROXY"),
        pytest.param(CHUNKS + b"2\nhi", id="chunk line feed"),
        pytest.param(CHUNKS + b"2\r\nhi!!", id="chunk end"),
        pytest.param(CHUNKS + b"2\r\nhi\n", id="chunk end line feed"),
        pytest.param(CHUNKS + b"2;" + b"a" * 300, id="chunk extension"),
        pytest.param(CHUNKS + (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 30, id="chunk extensions"),
    ],
)
def test_what_cannot_become_a_request_is_refused_at_once(text: bytes) -> None:
    async def run() -> bytes:
        return await converse(App(DEFAULTS), [text], half_closes=False)

    (answer,) = answers(uvloop.run(run()), [])
    assert answer.status == 400


def test_thousands_of_requests_ahead_hold_up_nobody() -> None:
    async def run() -> None:
        app = App(DEFAULTS)
        count, piece = 12_000, 262_144
        text = b"".join(get(f"/seen?{number}") for number in range(count))
        pieces = [text[at : at + piece] for at in range(0, len(text), piece)]
        sending = asyncio.create_task(converse(app, pieces))
        turns = 0
        while not sending.done():
            await turn()
            turns += 1
        found = answers(sending.result(), ["GET"] * count)
        queries = [msgspec.json.decode(one.body)[1] for one in found]
        assert queries == [str(number) for number in range(count)]
        # Others had their turn again and again.
        assert turns > count / 100

    uvloop.run(run())


def test_the_server_as_a_whole() -> None:
    text = b"OPTIONS * HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
    got = _talk(text + get("/seen"), ["OPTIONS", "GET"])
    assert [one.status for one in got] == [204, 200]
    assert "GET" in got[0].fields["allow"]
    assert "content-length" not in got[0].fields


def test_a_proxys_form_of_the_target() -> None:
    text = b"GET http://shop.example:81/seen?a=b HTTP/1.1\r\nHost: other\r\n\r\n"
    (answer,) = _talk(text, ["GET"])
    name, query, fields, _ = msgspec.json.decode(answer.body)
    assert (name, query, fields["host"]) == ("seen", "a=b", "shop.example:81")


def test_fields_of_one_name_are_joined_and_folds_are_undone() -> None:
    lines = (
        "Accept-Language: ko", "Cookie: a=b", "accept-language:  en ", "Cookie: c=d",
        "X-Queue-Token: t", "X-Queue-Token: t", 'If-None-Match: "a",\r\n "b"',
    )  # fmt: skip
    (answer,) = _talk(get("/seen", *lines), ["GET"])
    fields = msgspec.json.decode(answer.body)[2]
    assert fields["accept-language"] == "ko, en"
    assert fields["cookie"] == "a=b; c=d"
    assert fields["x-queue-token"] == "t"
    assert fields["if-none-match"].split() == ['"a",', '"b"']


def test_a_second_request_like_the_first_is_read_anew() -> None:
    text = get("/seen?1", "X-A: 1") + get("/seen?2", "X-A: 1") + get("/seen?3", "X-A: 2")
    bad = b"GET /seen HTTP/1.0\r\nHost: here\r\nX-A: 2\r\n\r\n"
    got = _talk(text + bad + get("/seen?5"), ["GET"] * 4)
    assert [one.status for one in got] == [200] * 4
    assert [msgspec.json.decode(one.body)[2]["x-a"] for one in got] == ["1", "1", "2", "2"]
    assert got[3].fields["connection"] == "close"


def test_a_head_like_the_one_before_has_a_body_of_its_own() -> None:
    pieces = [post(b"one"), post(b"two"), get("/ok"), post(b"six")]
    assert [one.body for one in _talk(b"".join(pieces), ["POST"] * 4)] == [
        b"one",
        b"two",
        b'{"a":1}',
        b"six",
    ]


@pytest.mark.parametrize("query", ["a b", "#", "a#b", "\t", "\x7f", "x" * 8_192])
def test_a_request_line_like_the_one_before_is_checked(query: str) -> None:
    got = _talk(get("/seen?1") + get(f"/seen?{query}") + get("/ok"), ["GET"] * 2)
    assert [one.status for one in got] == [200, 414 if len(query) > 100 else 400]


@pytest.mark.parametrize("before", ["OPTIONS *", "CONNECT seen:80"])
def test_a_target_of_another_form_has_no_query(before: str) -> None:
    head, again = f"{before} HTTP/1.1\r\nHost: h\r\n\r\n", f"{before}?a HTTP/1.1\r\nHost: h\r\n\r\n"
    alone = _talk(again.encode(), ["OPTIONS"])
    after = _talk(head.encode() + again.encode(), ["OPTIONS"] * 2)
    assert [one.status for one in after[1:]] == [one.status for one in alone if "*" in before]


def test_a_late_head_is_refused_with_a_body_also_after_head() -> None:
    text = get("/ok").replace(b"GET", b"HEAD") + b"GET /ok HTTP/1.1\r\nHo"
    got = _talk(text, ["HEAD", "GET"])
    assert [one.status for one in got] == [200, 400]
    assert got[1].body


def _talk(text: bytes, methods: list[str]) -> list[Answered]:
    async def run() -> bytes:
        return await converse(App(DEFAULTS), [text])

    return answers(uvloop.run(run()), methods)
