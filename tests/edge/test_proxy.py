"""nginx in front: an attack beside innocent visitors, none of whom gets another's answer."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests import nginx
from tests.booking_web.office import Office
from tests.until import until
from tests.web.stack import SOON_S, Room

ROOT = Path(__file__).parents[2]
DEPLOYED = (ROOT / "deploy" / "nginx" / "waitline.conf").read_text("utf-8")
BELOW_A_PATH = (ROOT / "deploy" / "nginx" / "below-a-path.conf").read_text("utf-8")

# What nginx's own documentation of WebSocket proxying says, with keep-alive upstreams: an Upgrade
# of any client reaches the service.
FORWARDING = DEPLOYED.replace('Connection ""', 'Connection "upgrade"').replace(
    'Upgrade ""', "Upgrade $http_upgrade"
)

INNOCENT = 10_000
CONNECTIONS = 20

pytestmark = nginx.needed


@contextmanager
def proxy(office: Office, config: str, folder: Path) -> Iterator[int]:
    """Run nginx with a configuration of the services; return its port."""
    queue, booking = office.queue.client.base_url, office.client.base_url
    config = config.replace("127.0.0.1:8081", f"127.0.0.1:{queue.port}")
    config = config.replace("127.0.0.1:8080", f"127.0.0.1:{booking.port}")
    with nginx.running(config, folder) as port:
        yield port


@pytest.mark.parametrize("config", [DEPLOYED, FORWARDING], ids=["deployed", "forwarding"])
def test_nobody_gets_anothers_answer(office: Office, config: str, tmp_path: Path) -> None:
    room = office.queue.room(admitPerSecond=1).name
    with proxy(office, config, tmp_path) as port:
        asyncio.run(_crowd(port, room))


async def _crowd(port: int, room: str) -> None:
    attacking = asyncio.create_task(_attack(port, room))
    each = INNOCENT // CONNECTIONS
    async with asyncio.TaskGroup() as group:
        for number in range(CONNECTIONS):
            group.create_task(_visit(port, room, range(number * each, (number + 1) * each)))
    assert not attacking.done(), attacking.exception()
    attacking.cancel()
    with suppress(asyncio.CancelledError):
        await attacking


async def _visit(port: int, room: str, numbers: range) -> None:
    """Enter as many visitors, each of whom must be answered by name."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in numbers:
        body = json.dumps({"concertId": room, "userId": f"innocent-{number}"}).encode()
        writer.write(
            b"POST /api/v1/queue/enter HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        status, answer = await _answer(reader)
        if status == 503:
            continue
        assert status == 201, answer
        assert json.loads(answer)["data"]["userId"] == f"innocent-{number}"
    writer.close()
    await writer.wait_closed()


async def _attack(port: int, room: str) -> None:
    """Send requests whose bodies are requests, with every upgrade, until the end."""
    number = 0
    while True:
        number += 1
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(_attacking(room, number))
            assert (await _answer(reader))[0] in {400, 503}
        finally:
            writer.close()
            await writer.wait_closed()


def _attacking(room: str, number: int) -> bytes:
    user = json.dumps({"concertId": room, "userId": f"evil-{number}"}).encode()
    inner = (
        b"POST /api/v1/queue/enter HTTP/1.1\r\nHost: h\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(user), user)
    )
    head = (
        b"POST /api/v1/queue/enter HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n"
        b"Connection: Upgrade\r\nUpgrade: %b\r\n" % (b"websocket", b"h2c")[number % 2]
    )
    if number % 4 < 2:
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(inner), inner)
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head[9:12]), await reader.readexactly(size)


def test_the_configuration_routes_and_hides(office: Office, tmp_path: Path) -> None:
    room = office.queue.room()
    with proxy(office, DEPLOYED, tmp_path) as port:
        url = f"http://127.0.0.1:{port}"
        get = office.client.get
        assert get(f"{url}/api/v1/concerts").status_code == 200
        assert get(f"{url}/rules").status_code == 200
        assert get(f"{url}/api/v1/rooms/{room.name}/now-serving").status_code == 200
        for page in ("/shop", "/shop?waitline=a-secret-pass"):
            assert get(f"{url}{page}").status_code in (200, 401)
        assert "GET /shop" in (tmp_path / "waitline.log").read_text("utf-8")
        assert "secret" not in (tmp_path / "waitline.log").read_text("utf-8")
        for hidden in ("/actuator/prometheus", "/api/v1/operator/concerts", "/api/admin/x"):
            assert get(f"{url}{hidden}").status_code == 404
        room.enter("streamer")
        path = f"{url}/api/v1/queue/subscribe"
        who = {"concertId": room.name, "userId": "streamer"}
        with office.client.stream("GET", path, params=who) as stream:
            assert stream.status_code == 200
            assert next(stream.iter_lines()).startswith("retry")


def test_a_path_that_the_proxy_takes_off(office: Office, tmp_path: Path) -> None:
    room = office.queue.room(mode="paused")
    with proxy(office, BELOW_A_PATH, tmp_path) as port:
        queue, booking = (f"http://127.0.0.1:{port}/{name}" for name in ("queue", "booking"))
        client = office.client
        who = {"concertId": room.name, "userId": "u"}
        assert client.post(f"{queue}/api/v1/queue/enter", json=who).status_code == 201
        with client.stream("GET", f"{queue}/api/v1/queue/subscribe", params=who) as stream:
            assert next(stream.iter_lines()).startswith("retry")
        redirect = client.get(f"{queue}/rooms?room={room.name}")
        assert str(redirect.next_request.url) == f"{queue}/rooms/{room.name}"  # type: ignore[union-attr]
        for url in (f"{queue}/rooms/{room.name}", f"{queue}/docs/docs.js", f"{booking}/docs"):
            assert client.get(url).status_code == 200
        assert client.get(f"{booking}/api/v1/concerts").status_code == 200
        for name in (queue, booking):
            for hidden in ("/actuator/prometheus", "//actuator/info", "/api/v1/operator/concerts"):
                assert client.get(f"{name}{hidden}").status_code == 404
            assert client.get(f"{name}/api/admin/x").status_code == 404
        assert client.get(f"{booking}/shop?waitline=a-secret-pass").status_code in (200, 401)
        log = tmp_path / "waitline.log"
        # nginx writes a request's line after its response.
        until(lambda: "GET /booking/shop" in log.read_text("utf-8"), SOON_S, "it is logged")
        assert "secret" not in log.read_text("utf-8")


def test_a_sale_below_a_path_with_cookies(production_office: Office, tmp_path: Path) -> None:
    """Cookies of both services reach both paths, and no redirect leaves its path."""
    show = production_office.show()
    room = Room(production_office.queue, show.room)
    with proxy(production_office, BELOW_A_PATH, tmp_path) as port:
        host = f"http://127.0.0.1:{port}"
        queue, booking = f"{host}/queue", f"{host}/booking"
        client = production_office.client
        calls = f"{queue}/api/v1/queue"
        entered = client.post(f"{calls}/enter", json=room.who("u"))
        ticket = cookie_for_every_path(entered)

        def admitted() -> bool:
            answer = client.get(f"{calls}/status", params=room.who("u"), headers=ticket)
            return bool(answer.json()["data"]["status"] == "READY")

        until(admitted, SOON_S, "it is the visitor's turn")
        with client.stream(
            "GET", f"{calls}/subscribe", params=room.who("u"), headers=ticket
        ) as stream:
            assert any(line == "event: ready" for line in stream.iter_lines())
        active = client.post(f"{calls}/activate", params=room.who("u"), headers=ticket)
        page = f"{booking}/shop/concerts/{show.concert}"
        arrived = client.get(page, params={"waitline": active.json()["data"]["token"]})
        assert arrived.status_code == 303
        assert str(arrived.next_request.url) == page  # type: ignore[union-attr]
        session = cookie_for_every_path(arrived)
        assert client.get(page, headers=session).status_code == 200
        assert client.get(f"{page}/session", headers=session).json()["userId"] == "u"
        who = {**session, "X-User-Id": "u"}
        wanted = {"scheduleId": show.schedule, "seatId": show.seats[0]}
        held = client.post(f"{booking}/api/v1/reservations", json=wanted, headers=who)
        assert held.status_code == 201
        client.cookies.clear()


def cookie_for_every_path(answer: httpx.Response) -> dict[str, str]:
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert cookie.startswith("__Host-")
    assert "Path=/" in attributes
    return {"Cookie": cookie}
