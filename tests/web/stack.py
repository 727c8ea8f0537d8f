"""A running installation, with a client for visitors and for the operator."""

import itertools
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from http.client import parse_headers
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import httpx

from tests import command_line, refusals
from tests.http_client import AGAIN_S, Client
from tests.until import until
from waitline.trial.installation import Installation, start

T = TypeVar("T")

# Seconds until a stack answers, on a machine that runs other tests as well.
UP_S = 120.0

# Seconds until something that takes a second or two has happened, on such a machine.
SOON_S = 20.0

ENGLISH = {"Accept-Language": "en"}
JSON_TYPE = {"Content-Type": "application/json"}

# The texts of the wire contract, and how they read in English.
MESSAGES = {
    "C001": ("잘못된 입력값입니다.", "Invalid input."),
    "C002": ("인증이 필요합니다.", "Authentication is required."),
    "C003": ("권한이 없습니다.", "You do not have permission."),
    "C004": ("요청한 리소스를 찾을 수 없습니다.", "The requested resource was not found."),
    "C005": ("리소스 충돌이 발생했습니다.", "The request conflicts with the current state."),
    "Q001": ("대기열 토큰을 찾을 수 없습니다.", "This visitor is not in the line."),
    "Q002": ("대기열 토큰이 만료되었습니다.", "The token has expired."),
    "Q003": ("유효하지 않은 대기열 토큰입니다.", "Invalid token."),
    "Q004": ("대기열이 가득 찼습니다.", "The line is full."),
    "Q005": ("더 이상 연장할 수 없습니다.", "No further extension is possible."),
    "E003": (
        "대기열 서비스를 일시적으로 사용할 수 없습니다.",
        "The queue service is temporarily unavailable.",
    ),
}

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

Done = subprocess.CompletedProcess[str]

PROBLEM_MEMBERS = {
    "type", "title", "status", "detail", "instance", "code", "message", "timestamp", "data",
}  # fmt: skip


def succeeded(response: httpx.Response, status: int = 200) -> Any:  # noqa: ANN401 - JSON
    """Check the envelope of a success and return its data."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["result", "message", "data"]
    assert body["result"] == "success"
    assert body["message"]
    return body["data"]


def refused(
    response: httpx.Response,
    status: int,
    code: str,
    *,
    more: frozenset[str] = frozenset(),
    root: str = "",
) -> dict[str, Any]:
    """Check what all refusals have in common, and return the body.

    Args:
        response: The refusal.
        status: Its status.
        code: Its code.
        more: Members of its own.
        root: Path of the service on its proxy's host.
    """
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    body: dict[str, Any] = response.json()
    assert set(body) == PROBLEM_MEMBERS | more
    english = response.request.headers.get("accept-language") == "en"
    assert (body["code"], body["message"]) == (code, MESSAGES[code][english])
    assert body["status"] == status
    assert body["type"].startswith("urn:waitline:problem:")
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == root + response.request.url.path
    assert INSTANT.fullmatch(body["timestamp"])
    return body


def shows(token: str | None) -> dict[str, str]:
    """Return the header that carries a token, if there is one."""
    return {} if token is None else {"X-Queue-Token": token}


def instant_ms(text: str) -> int:
    """Read an instant as it is sent; in ms since the epoch."""
    assert INSTANT.fullmatch(text), text
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def at_once(count: int, call: Callable[[], T]) -> list[T]:
    """Make a call from many threads at the same time; return the answers."""
    with ThreadPoolExecutor(count) as threads:
        return [future.result() for future in [threads.submit(call) for _ in range(count)]]


class Event(NamedTuple):
    """One event of a stream."""

    name: str
    data: dict[str, Any]


def events(stream: httpx.Response) -> Iterator[Event]:
    """Read a stream's events, until the server ends it."""
    name = ""
    for line in stream.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield Event(name, json.loads(value))


class Stack:
    """One installation."""

    def __init__(self, url: str, data_dir: Path, program: Installation, client: Client) -> None:
        self.url = url
        self.data_dir = data_dir
        self.program = program
        self.client = client
        self.operator = {"X-Operator-Key": (data_dir / "operator.key").read_text("utf-8")}
        self._numbers = itertools.count(1)

    def unused(self) -> "Room":
        """Name a room that nobody has created."""
        return Room(self, f"room-{next(self._numbers)}")

    def room(self, **rules: object) -> "Room":
        """Create a room, as its operator would."""
        room = self.unused()
        body = {"room": room.name, **rules}
        response = self.client.post("/api/v1/rooms", json=body, headers=self.operator)
        # Nobody else has the name: a try that was not answered created it.
        if response.status_code != 409:
            succeeded(response, 201)
        return room

    def metrics(self) -> str:
        response = self.client.get(f"{self.program.management_urls[0]}/actuator/prometheus")
        assert response.status_code == 200
        return response.text

    def crowd(self, room: "Room", count: int, connections: int = 20) -> None:
        """Let many visitors enter at once, over pipelined connections."""
        address = (self.client.base_url.host, self.client.base_url.port or 80)
        until_s = time.monotonic() + SOON_S
        with ExitStack() as stack:
            lines = []
            for line in range(connections):
                wire = stack.enter_context(socket.create_connection(address, SOON_S))
                users = [f"crowd-{number}" for number in range(line, count, connections)]
                wire.sendall(b"".join(_entering(room.name, user) for user in users))
                lines.append((wire, stack.enter_context(wire.makefile("rb")), users))
            for wire, answers, users in lines:
                again = _busy_users(answers, users, b'"isNewEntry":true')
                while again:
                    # As `Client` does. Who got a 503 may have a place all the same.
                    assert time.monotonic() < until_s, again
                    refusals.count(len(again))
                    threading.Event().wait(AGAIN_S)
                    wire.sendall(b"".join(_entering(room.name, user) for user in again))
                    again = _busy_users(answers, again, b'"isNewEntry":')


def _busy_users(answers: BinaryIO, users: Sequence[str], word: bytes) -> list[str]:
    """Read one answer per user; return the users answered with 503. All others have entered."""
    busy = []
    for user in users:
        status = answers.readline().split()[1]
        length = parse_headers(answers)["content-length"]
        body = answers.read(int(length or 0))
        if status == b"503":
            busy.append(user)
        else:
            assert status == b"201", body
            assert word in body, body
    return busy


def _entering(room: str, user: str) -> bytes:
    body = json.dumps({"concertId": room, "userId": user}).encode()
    head = "POST /api/v1/queue/enter HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Room:
    """One room, with a method per call of a visitor."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack = stack
        self.name = name

    def who(self, user: str) -> dict[str, str]:
        return {"concertId": self.name, "userId": user}

    def enter(self, user: str = "u", token: str | None = None, **headers: str) -> httpx.Response:
        return self._post("enter", self.who(user), {**shows(token), **headers})

    def status(self, user: str = "u", token: str | None = None, **headers: str) -> httpx.Response:
        return self._query("GET", "status", user, {**shows(token), **headers})

    def activate(self, user: str = "u", token: str | None = None) -> httpx.Response:
        return self._query("POST", "activate", user, shows(token))

    def extend(self, user: str = "u", token: str | None = None) -> httpx.Response:
        return self._post("extend", self.who(user), shows(token))

    def validate(self, user: str = "u", token: str | None = None) -> httpx.Response:
        body: dict[str, str] = self.who(user) | ({} if token is None else {"token": token})
        return self._post("validate", body, {})

    def remove(
        self, user: str = "u", token: str | None = None, call: str = "remove"
    ) -> httpx.Response:
        return self._query("DELETE", call, user, shows(token))

    @contextmanager
    def subscribe(
        self, user: str = "u", token: str | None = None, **headers: str
    ) -> Iterator[httpx.Response]:
        """Open a stream; return a refusal with its whole body."""
        sent = {**shows(token), **headers}
        with self.stack.client.stream(
            "GET", "/api/v1/queue/subscribe", params=self.who(user), headers=sent
        ) as stream:
            if stream.status_code != 200:
                stream.read()
            yield stream

    def now_serving(self, **headers: str) -> httpx.Response:
        path = f"/api/v1/rooms/{self.name}/now-serving"
        return self.stack.client.get(path, headers=headers)

    def change(self, **rules: object) -> Any:  # noqa: ANN401 - JSON
        path = f"/api/v1/rooms/{self.name}"
        operator = self.stack.operator
        return succeeded(self.stack.client.patch(path, json=rules, headers=operator))

    def show(self) -> Any:  # noqa: ANN401 - JSON
        path = f"/api/v1/rooms/{self.name}"
        return succeeded(self.stack.client.get(path, headers=self.stack.operator))

    def arrive(self, user: str = "u") -> str:
        """Enter and return the ticket."""
        response = self.enter(user)
        assert response.status_code in {200, 201}, response.text
        ticket: str = response.json()["data"]["token"]
        return ticket

    def until(self, user: str, state: str, token: str | None = None) -> Any:  # noqa: ANN401
        """Wait until a visitor is in a state and return what status says then."""
        seen: dict[str, Any] = {}

        def there() -> bool:
            seen.update(succeeded(self.status(user, token)))
            return bool(seen["status"] == state)

        until(there, SOON_S, f"{user} is {state} in {self.name}")
        return seen

    def admitted(self, user: str = "u", token: str | None = None) -> Any:  # noqa: ANN401 - JSON
        """Enter, wait for the turn and return what status says then."""
        ticket = self.arrive(user)
        return self.until(user, "READY", token and ticket)

    def _post(
        self, call: str, body: Mapping[str, str], headers: Mapping[str, str]
    ) -> httpx.Response:
        path = f"/api/v1/queue/{call}"
        return self.stack.client.post(path, json=body, headers=dict(headers))

    def _query(
        self, method: str, call: str, user: str, headers: Mapping[str, str]
    ) -> httpx.Response:
        path = f"/api/v1/queue/{call}"
        return self.stack.client.request(method, path, params=self.who(user), headers=dict(headers))


@contextmanager
def running(
    mode: str = "trial", data_dir: Path | None = None, workers: int = 2, **settings: str
) -> Iterator[Stack]:
    """Run a stack; in a folder of its own, unless one is given."""
    chosen = {"mode": mode, **settings}
    with (
        start(workers, chosen, data_dir=data_dir, batch_scheduling=False) as program,
        Client(program.url) as client,
    ):
        yield Stack(program.url, program.data_dir, program, client)


def waitline(*words: str | Path) -> Done:
    """Run a command to its end in this process."""
    return Done(words, *command_line.run_captured(*words))


def waitline_process(*words: str | Path) -> Done:
    """Run a command to its end in a process of its own."""
    return _run("waitline", words)


def waitline_bench(*words: str | Path) -> Done:
    """Run a measurement to its end."""
    return _run("waitline_bench", words)


def _run(module: str, words: Sequence[str | Path]) -> Done:
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", module, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=UP_S,
        check=False,
    )
