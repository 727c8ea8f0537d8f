"""Generated streams of bytes: all ways answer as the judge reads RFC 9112."""

import random
import re
from collections.abc import Iterator
from itertools import pairwise

import msgspec
import pytest
import uvloop

from tests.edge.reference import BODY_MAX, End, Seen, read
from tests.edge.server import App
from tests.edge.wire import answers, converse
from waitline.http.limits import EdgeLimits

# Where in a target its way begins.
MARK = b"<>"

# Requests: those of `make test` take about two seconds.
SHORT, LONG = 3_000, 120_000

METHODS = [b"GET", b"POST", b"POST", b"POST", b"DELETE", b"HEAD", b"get", b"G(T", b""]
TARGETS = [
    b"<>seen", b"<>seen?a=1&b=%20", b"<>seen?", b"<>se%65n", b"<>seen?x=\xea\xb0\x80", b"http://h<>seen",
    b"HTTP://h:80<>seen?q", b"https://h<>seen", b"ftp://h<>seen", b"http://u@h<>seen", b"http://<>seen",
    b"<>seen#f", b"<>seen x", b"*", b"", b"<>\xff", b"<>%ff", b"seen", b"<>seen\x00", b"<>seen\x7f",
]  # fmt: skip
# What follows a target in its place, where a request is sent again with another query.
QUERY = re.compile(rb"(?:\?[^ ]*)? H")
QUERIES = [
    b"", b"b=2", b"c=3&d=%41", b"?", b"/", b"\xff", b"a b", b"#f", b"a#", b"\x7f", b"\t", b"\x00",
    b"a HTTP/1.1\r\nX-A: b", b"a HTTP/1.1\r\n\r\nGET <>seen", b"x" * 8_192,
]  # fmt: skip
VERSIONS = [
    b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ", b"HTTP/11",
    b"HTTP/1.x", b"",
]  # fmt: skip
HOSTS = [b"h", b"h:80", b"[::1]:80", b"", b"a b", b"h/x", b"u@h", b"[::1", b"h:x", b"%41", b"%4"]
LENGTHS = [
    b"+5", b"-5", b"0x5", b"5 5", b"5,5", b"5, 6", b"5,", b",5", b"", b"00005", b"0" * 19 + b"5",
    b"0" * 400, b"9" * 20, b"9" * 40, b"5.0", b"\xb2", b"5\t", b"65", b"1_0", b"5;5",
]  # fmt: skip
CODINGS = [
    b"chunked", b"Chunked", b"chunked ", b"xchunked", b"gzip, chunked", b"chunked, gzip",
    b"chunked, chunked", b"identity", b"", b"chunked,", b", chunked", b"chunked;q=1",
    b"\x0bchunked",
]  # fmt: skip
CONNECTIONS = [
    b"close", b"keep-alive", b"Upgrade", b"Upgrade, HTTP2-Settings", b"Close, x", b"x", b"",
    b"keep-alive, close",
]  # fmt: skip
FIELDS = [
    (b"Upgrade", b"websocket"), (b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMAAABk"),
    (b"Accept-Language", b"en"), (b"Accept-Language", b"ko"), (b"Cookie", b"a=b"),
    (b"cookie", b"c=d"), (b"X-User-Id", b"1"), (b"X-User-Id", b"2"), (b"X-Queue-Token", b"t"),
    (b"Content-Type", b"text/plain"), (b"Expect", b"100-continue"), (b"Expect", b"101"),
    (b"X-Folded", b"a\r\n b"), (b"X-Folded", b"a \r\n\t\r\n c"), (b"Content-Length", b"\r\n 5"),
    (b"Transfer-Encoding", b"\r\n chunked"), (b"X Space", b"v"), (b"X-Space ", b"v"), (b"", b"v"),
    (b"X-Nul", b"a\x00b"), (b"X-Cr", b"a\rb"), (b"X-Lf", b"a\nb"), (b"X-Ctl", b"a\x01b"),
    (b"X-Bytes", b"\x80\xff"), (b" X-Led", b"v"), (b"X-Tab", b"\ta\tb\t "), (b"Host", b"other"),
    (b"Connection", b"close"), (b"X-\xe9", b"v"),
]  # fmt: skip
# Those that change nothing, or are joined.
PLAIN = [one for one in FIELDS[:11] if one != (b"X-User-Id", b"2")]
SIZES = [
    b"+5",
    b"0x5",
    b" 5",
    b"5 ",
    b"-1",
    b"",
    b"5\t;a",
    b"1" * 17,
    b"ffffffffffffffff",
    b"5;" + b"a" * 300,
]
EXTENSIONS = [
    b";a",
    b";a=b",
    b' ; a = "q\\"r"',
    b";",
    b';a="',
    b";a b",
    b';a="\x01"',
    b";a=",
    b";;a",
]
ENDINGS = [b"\n", b"\r", b"", b"\r\r\n", b"\n\r"]


class Generator:
    """Makes requests, most of them valid but for one oddity."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def stream(self) -> list[bytes]:
        """Return the requests of one connection; `MARK` in their targets."""
        requests = [self._request()]
        for _ in range(self._rng.randint(0, 4)):
            again = requests[-1] if self._odd(0.4) else self._request()
            if self._odd(0.5):
                again = QUERY.sub(lambda _: b"?" + self._rng.choice(QUERIES) + b" H", again, 1)
            requests.append(again)
        return requests

    def _odd(self, chance: float = 0.01) -> bool:
        return self._rng.random() < chance

    def _pick(self, usual: bytes, odd: list[bytes], chance: float = 0.01) -> bytes:
        return self._rng.choice(odd) if self._odd(chance) else usual

    def _request(self) -> bytes:
        rng = self._rng
        method = self._pick(rng.choice(METHODS[:6]), METHODS)
        line = [
            method,
            self._pick(rng.choice(TARGETS[:4]), TARGETS),
            self._pick(b"HTTP/1.1", VERSIONS),
        ]
        fields = [(b"Host", self._pick(b"h", HOSTS))]
        fields += [rng.choice(PLAIN) for _ in range(rng.randint(0, 3))]
        fields += [rng.choice(FIELDS)] if self._odd(0.06) else []
        if self._odd(0.1):
            fields.append((rng.choice([b"Connection", b"CONNECTION"]), rng.choice(CONNECTIONS)))
        body = self._framed(fields)
        if self._odd(0.01):
            fields = [one for one in fields if one[0] != b"Host"]
        rng.shuffle(fields)
        end = self._pick(b"\r\n", ENDINGS, 0.002)
        head = b" ".join(line) + end
        for name, value in fields:
            head += name + self._pick(b": ", [b":", b":\t", b":  ", b":", b" :"], 0.05) + value
            head += self._pick(b"\r\n", ENDINGS, 0.002)
        head += self._pick(b"\r\n", ENDINGS, 0.002)
        before = self._pick(b"", [b"\r\n", b"\r\n" * 4, b"\r\n" * 5, b"\n", b"\r", b" "])
        text = before + head + body
        if self._odd(0.015):
            at = rng.randrange(len(text))
            text = text[:at] + rng.randbytes(1) + text[at + rng.randint(0, 1) :]
        return text[: rng.randrange(len(text))] if self._odd(0.01) else text

    def _framed(self, fields: list[tuple[bytes, bytes]]) -> bytes:
        """Add the fields that frame a body, and return it. It may look like a request."""
        rng = self._rng
        body = rng.choice(
            [b"", b"hello", b"GET <>seen HTTP/1.1\r\nHost: evil\r\n\r\n", b"x" * BODY_MAX]
        )
        if self._odd(0.03):
            body = b"x" * (BODY_MAX + 1)
        kind = rng.random()
        if kind < 0.4:
            return self._pick(b"", [body], 0.02)
        if kind < 0.7:
            length = self._pick(b"%d" % len(body), LENGTHS, 0.05)
            fields.extend([(b"Content-Length", length)] * (2 if self._odd() else 1))
            if self._odd():
                fields.append((b"Content-Length", rng.choice(LENGTHS)))
            return body
        fields.append((b"Transfer-Encoding", self._pick(b"chunked", CODINGS, 0.05)))
        if self._odd():
            fields.append((b"Content-Length", b"%d" % len(body)))
        return b"".join(self._chunks(body))

    def _chunks(self, body: bytes) -> Iterator[bytes]:
        rng = self._rng
        while body:
            size = rng.randint(1, len(body))
            yield self._size(size) + body[:size] + self._pick(b"\r\n", ENDINGS, 0.002)
            body = body[size:]
        yield self._size(0)
        for _ in range(rng.randint(0, 2)):
            name, value = rng.choice(FIELDS if self._odd(0.03) else PLAIN)
            yield name + b": " + value + b"\r\n"
        yield self._pick(b"\r\n", ENDINGS, 0.002)

    def _size(self, size: int) -> bytes:
        digits = self._rng.choice([b"%x", b"%X", b"0%x"]) % size
        extension = self._pick(b"", EXTENSIONS, 0.1)
        return self._pick(digits + extension, SIZES, 0.005) + self._pick(b"\r\n", ENDINGS, 0.002)

    def mixed(self, ways: list[bytes]) -> list[bytes]:
        """Return ways in any order."""
        return self._rng.sample(ways, len(ways))

    def cut(self, text: bytes) -> list[bytes]:
        """Cut a stream into the pieces in which it arrives."""
        rng = self._rng
        if rng.random() < 0.4:
            return [text]
        if rng.random() < 0.1:
            return [text[at : at + 1] for at in range(len(text))]
        cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randint(1, 6)))
        ends = [0, *cuts, len(text)]
        return [text[a:b] for a, b in pairwise(ends) if b > a]


async def judged(app: App, text: bytes, pieces: list[bytes]) -> int:
    """Compare what is answered with what the judge says; return the number of requests."""
    expected = read(text)
    asked = [one for one in expected if isinstance(one, Seen)]
    end = expected[-1]
    assert isinstance(end, End)
    got = answers(await converse(app, pieces), [one.method for one in asked])
    assert len(got) == len(asked) + (end.status is not None)
    for seen, answer in zip(asked, got, strict=False):
        if seen.method not in {"GET", "POST", "DELETE", "HEAD"}:
            assert answer.status in {405, 404, 200}
        elif not seen.path.endswith("/seen"):
            assert answer.status == 404
        else:
            assert answer.status == 200
            if seen.method != "HEAD":
                found = [seen.path.rpartition("/")[2], seen.query, seen.fields, seen.body]
                assert msgspec.json.decode(answer.body) == found
    if end.status is not None:
        assert got[-1].status == end.status
        assert got[-1].fields["connection"] == "close"
        assert got[-1].fields["content-type"] == "application/problem+json"
    return len(expected)


def run_many(seed: int, requests: int) -> None:
    async def run() -> None:
        app = App(EdgeLimits(body_bytes=BODY_MAX))
        generator = Generator(random.Random(seed))  # noqa: S311 - repeatable
        done = 0
        while done < requests:
            parts = generator.stream()
            hot, now, framework = ([way] * len(parts) for way in (b"/", b"/now/", b"/framework/"))
            for ways in (hot, framework, generator.mixed(hot + now + framework)):
                text = b"".join(
                    part.replace(MARK, way) for part, way in zip(parts, ways, strict=False)
                )
                pieces = generator.cut(text)
                try:
                    done += await judged(app, text, pieces)
                except AssertionError:
                    raise AssertionError(text[:3_000], len(pieces)) from None

    uvloop.run(run())


@pytest.mark.parametrize("seed", range(2))
def test_both_ways_answer_as_the_standard_says(seed: int) -> None:
    run_many(seed, SHORT // 2)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 14))
def test_both_ways_answer_as_the_standard_says_for_long(seed: int) -> None:
    run_many(seed, LONG // 4)
