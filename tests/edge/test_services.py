"""Both services on raw sockets, as clients, balancers and attackers really reach them."""

import socket
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from tests.booking_web.office import Office
from tests.web.stack import SOON_S

SERVICES = ["queue", "booking"]

# Where each service takes a POST of JSON, and what it answers to anything else.
POSTS = {"queue": b"/api/v1/queue/enter", "booking": b"/api/v1/reservations"}

HEALTH = b"/actuator/health/liveness"


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    """Each of the two."""
    name: str = request.param
    return name


def dialled(office: Office, service: str) -> socket.socket:
    """Connect to a service."""
    url = (office.queue.client if service == "queue" else office.client).base_url
    assert url.port is not None
    return socket.create_connection((url.host, url.port), SOON_S)


def talk(office: Office, service: str, *pieces: bytes) -> bytes:
    """Send pieces, half-close, and return all that is answered."""
    with closing(dialled(office, service)) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            wire.sendall(piece)
        wire.shutdown(socket.SHUT_WR)
        with wire.makefile("rb") as answered:
            return answered.read()


def statuses(text: bytes) -> list[int]:
    """Return the statuses of all responses in a stream, in order."""
    return [int(part[:3]) for part in text.split(b"HTTP/1.1 ")[1:]]


def health(*lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    """A balancer's health check."""
    head = b"".join(line + b"\r\n" for line in lines)
    return method + b" " + HEALTH + b" HTTP/" + version + b"\r\n" + head + b"\r\n"


OLD_KEPT = health(b"Connection: keep-alive", version=b"1.0")
PROXIED = b"PROXY TCP4 1.2.3.4 5.6.7.8 9 80\r\n" + health(b"Host: x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(health(version=b"1.0"), [200], id="1.0 without Host"),
        pytest.param(OLD_KEPT * 2, [200] * 2, id="1.0 kept"),
        pytest.param(health(version=b"1.0") * 2, [200], id="1.0 closes"),
        pytest.param(health(b"Host: x", method=b"HEAD"), [200], id="HEAD"),
        pytest.param(health(method=b"HEAD", version=b"1.0"), [200], id="HEAD 1.0"),
        pytest.param(health(b"Host: x", method=b"OPTIONS"), [405], id="OPTIONS"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", [204], id="OPTIONS *"),
        pytest.param(b"", [], id="connect and close"),
        pytest.param(health(b"Host: x") * 3, [200] * 3, id="pipelined"),
        pytest.param(health(b"Host: x") + b"\x16\x03\x01\r\n\r\n", [200, 400], id="then garbage"),
        pytest.param(PROXIED, [400], id="PROXY"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505], id="HTTP/2"),
        pytest.param(b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n" + b"junk", [405], id="CONNECT"),
        pytest.param(
            health(b"Host: x", b"Connection: close") + health(b"Host: x"), [200], id="after close"
        ),
        pytest.param(
            health(b"Host: x", b"Content-Length: 3") + b"abc" + health(b"Host: x"), [200] * 2,
            id="body of a GET",
        ),
    ],
)  # fmt: skip
def test_health_checks(office: Office, service: str, text: bytes, expected: list[int]) -> None:
    answered = talk(office, service, text)
    assert statuses(answered) == expected
    if b"HEAD" in text:
        assert answered.endswith(b"\r\n\r\n")
        assert b"content-length: 15\r\n" in answered


def test_a_target_as_proxies_send_it(office: Office, service: str) -> None:
    target = b"http://shop.example" + HEALTH
    text = b"GET " + target + b" HTTP/1.1\r\nHost: shop.example\r\n\r\n"
    assert statuses(talk(office, service, text)) == [200]


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c", b""], ids=["websocket", "h2c", "none"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_an_upgrade_with_a_body(
    office: Office, service: str, upgrade: bytes, *, chunked: bool
) -> None:
    body = health(b"Host: evil")
    head = b"POST " + POSTS[service] + b" HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    if upgrade:
        head += (
            b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
        )
        head += b"Upgrade: " + upgrade + b"\r\n"
    framed = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    if chunked:
        framed = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    first = head + framed
    for cut in (len(head), len(head) + 5, len(first) - 5, len(first) - 1):
        answered = talk(office, service, first[:cut], first[cut:], health(b"Host: x"))
        # The body is no JSON, and no request.
        assert statuses(answered) == [400, 200]
        assert b"input-invalid" in answered


def test_a_trailer_proves_nothing(office: Office) -> None:
    key = office.operator["X-Operator-Key"].encode()
    for service, path in (("queue", b"/api/v1/rooms"), ("booking", b"/api/v1/operator/concerts")):
        text = (
            b"GET " + path + b" HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
            b"Trailer: X-Operator-Key\r\n\r\n0\r\nX-Operator-Key: " + key + b"\r\n\r\n"
        )
        assert statuses(talk(office, service, text)) == [401]


def test_a_trailer_names_nobody(office: Office) -> None:
    text = (
        b"POST /api/v1/reservations HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
        b'Content-Type: application/json\r\n\r\n1d\r\n{"seatId": 1, "scheduleId":1}\r\n0\r\n'
        b"X-User-Id: 1\r\nX-Queue-Token: t\r\n\r\n"
    )
    assert statuses(talk(office, "booking", text)) == [401]


@pytest.mark.parametrize("value", [b"0" * 5_000, b"+5", b"5, 6", b"0x5", b""])
def test_a_length_that_is_none(office: Office, service: str, value: bytes) -> None:
    for path in (POSTS[service], b"/actuator/health", b"/nothing"):
        text = b"POST " + path + b" HTTP/1.1\r\nHost: h\r\nContent-Length: " + value + b"\r\n\r\n"
        assert statuses(talk(office, service, text)) == [400]


def test_languages_and_tokens_that_come_twice(office: Office, service: str) -> None:
    path = POSTS[service]
    twice = (
        b"PUT " + path + b" HTTP/1.1\r\nHost: h\r\nAccept-Language: fr\r\nAccept-Language: en\r\n"
    )
    answered = talk(office, service, twice + b"\r\n")
    assert b"Method not allowed" in answered
    two = b"X-Queue-Token: a\r\nX-Queue-Token: b\r\n\r\n"
    assert statuses(talk(office, service, twice + two)) == [400]


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("queue", "/api/v1/health"),
        ("queue", "/"),
        ("queue", "/.well-known/jwks.json"),
        ("queue", "/api/v1/queue/status?concertId=edge&userId=nobody"),
        ("queue", "/api/v1/rooms/edge/now-serving"),
        ("booking", "/api/v1/health"),
        ("booking", "/api/v1/concerts"),
        ("booking", "/api/v1/schedules/1/seats"),
        ("booking", "/api/v1/reservations/1"),
        ("booking", "/api/v1/payments/1"),
    ],
)
def test_head_is_get_without_the_body(office: Office, service: str, path: str) -> None:
    client = office.queue.client if service == "queue" else office.client
    got, head = client.get(path), client.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    varying = {"date", "content-encoding", "content-length", "retry-after"}
    for name in got.headers.keys() - varying:
        assert head.headers[name] == got.headers[name]


def test_head_of_a_stream_ends(office: Office) -> None:
    room = office.queue.room()
    room.enter("u")
    target = f"/api/v1/queue/subscribe?concertId={room.name}&userId=u".encode()
    text = b"HEAD " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n" + health(b"Host: x")
    answered = talk(office, "queue", text)
    assert statuses(answered) == [200, 200]
    assert b"event" not in answered.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "key", [b"", b"X-Operator-Key: wrong-wrong-wrong\r\n"], ids=["none", "wrong"]
)
def test_a_stranger_uploads_nothing(office: Office, key: bytes) -> None:
    # Sixteen megabytes are announced, and none is waited for.
    text = (
        b"POST /api/v1/operator/schedules/1/seats HTTP/1.1\r\nHost: h\r\n"
        + key
        + b"Content-Length: 16000000\r\n\r\n"
    )
    with closing(dialled(office, "booking")) as wire:
        wire.sendall(text)
        assert statuses(wire.recv(65_536)) == [403 if key else 401]


def test_endless_header_fields_take_no_memory(office: Office, service: str) -> None:
    before = dict(_processes(office))
    line = b"X-More: " + b"x" * 60_000 + b"\r\n"
    for _ in range(10):
        with closing(dialled(office, service)) as wire:
            wire.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n")
            try:
                for _ in range(70):
                    wire.sendall(line)
                answered = wire.recv(65_536)
            except ConnectionError:
                # Refused and cut off.
                continue
            assert statuses(answered) == [431]
    taken = 0
    for one, bytes_before in before.items():
        # One of the database's may have ended meanwhile.
        with suppress(psutil.NoSuchProcess):
            taken += one.memory_info().rss - bytes_before
    assert taken < 40 * 1024**2


def _processes(office: Office) -> list[tuple[psutil.Process, int]]:
    """Return the processes of an installation, each with the memory that it has."""
    folder = str(Path(office.queue.data_dir))
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if any(folder in value for value in one.environ().values()):
                found.append((one, one.memory_info().rss))
    return found
