"""One composition, started from its files as an operator starts it, and visitors who use it."""

import json
import os
import secrets
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.compose.engine import ROOT, Engine, command
from tests.http_client import Client
from tests.until import until

# Seconds until all containers are there, and until what takes a few seconds has happened, on a
# machine that runs other tests as well.
UP_S = 300.0
SOON_S = 60.0

# Visitors that enter at once.
THREADS = 16

SEATS = 1_000
PRICE = 50_000


@dataclass
class Composition:
    """A running composition.

    Attributes:
        engine: Where it runs.
        folder: Copy of deploy/compose, with secrets of its own.
        names: Its folders; the first has the secrets.
        entered: Place of each visitor who entered, by room and visitor.
        paid: Who paid for each reservation.
    """

    engine: Engine
    folder: Path
    names: tuple[str, ...]
    entered: dict[tuple[str, str], int] = field(default_factory=dict)
    paid: dict[int, "Buyer"] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def environment(self) -> Mapping[str, str]:
        files = (str(self.folder / "compose" / name / "compose.yml") for name in self.names)
        return {
            **self.engine.environment,
            "COMPOSE_PROJECT_NAME": "waitline",
            "COMPOSE_FILE": ":".join(files),
        }

    def compose(self, *words: str | Path, check: bool = True) -> str:
        """Run docker-compose with some words."""
        return command("docker-compose", *words, environment=self.environment, check=check)

    def tools(self, *words: str, mounts: Sequence[str] = ()) -> Any:  # noqa: ANN401 - JSON
        """Run a command of Waitline in a container, and return its document."""
        return json.loads(
            self.compose("run", "--rm", "-T", "--no-deps", *mounts, "tools", *words, "--json")
        )

    def script(self, name: str, *words: str) -> None:
        """Run a script of deploy/compose: `roll` or `failover`."""
        command(self.folder / "compose" / name, *words, environment=self.environment)

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).split()

    def address(self, service: str) -> str:
        """Return an address of a service's first container, in one of its closed networks."""
        networks = self._state(self.containers(service)[0])["NetworkSettings"]["Networks"]
        address: str = next(iter(networks.values()))["IPAddress"]
        return address

    def kill(self, service: str) -> None:
        """Kill a service's first process, as the kernel does when memory runs out."""
        container = self.containers(service)[0]
        before = self._state(container)
        os.kill(int(before["State"]["Pid"]), signal.SIGKILL)

        def back() -> bool:
            now = self._state(container)
            again = now["RestartCount"] > before["RestartCount"]
            return again and now["State"].get("Health", {}).get("Status") in {"healthy", None}

        until(back, UP_S, f"{service} is started again")

    def take_away(self, service: str) -> None:
        """Kill a service's container, which nothing starts again."""
        self.engine.run("kill", *self.containers(service))

    def _state(self, container: str) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.engine.run("inspect", container))[0]

    def client(self) -> Client:
        """Return a client whose requests have a connection each.

        nginx closes idle connections when it loads its configuration again. A browser repeats a
        request that meets the closing; this client would not.
        """
        certificate = self.folder / "compose" / self.names[0] / "secrets" / "tls.crt"
        client = Client("https://127.0.0.1", trusts=certificate)
        client.headers["Connection"] = "close"
        return client

    def up(self) -> None:
        """Start it, and wait until it serves through nginx."""
        self.compose("up", "-d")
        with self.client() as client, self.engine.host.entered():

            def serves() -> bool:
                try:
                    answers = [client.get("/api/v1/health"), client.get("/api/v1/concerts")]
                except httpx.TransportError:
                    return False
                return all(answer.status_code == 200 for answer in answers)

            until(serves, UP_S, f"{self.names[-1]} serves")

    def on_sale(self, name: str) -> "Show":
        """Create a room, a concert and its seats, by the commands of operators."""
        self.tools("rooms", "create", name, "--admit-per-second", "500")
        concert = self.tools("concerts", "create", f"Live, {name}", "--room", name)["concertId"]
        starts = ("--starts-at", "2040-05-01T19:00+09:00")
        schedule = self.tools("schedules", "create", str(concert), *starts)["scheduleId"]
        plan = self.folder / "seats.csv"
        rows = (f"Floor,{seat // 10},{seat % 10},R,{PRICE}" for seat in range(SEATS))
        plan.write_text("section,row,seat,grade,price\n" + "\n".join(rows) + "\n", "utf-8")
        mounts = ("--volume", f"{plan}:/tmp/seats.csv:ro")
        self.tools("seats", "import", str(schedule), "/tmp/seats.csv", mounts=mounts)  # noqa: S108 - of the container
        return Show(self, name, concert, schedule)

    def audits(self, room: str) -> list[Any]:
        """Return what the audits of a room, the box office and the provider find."""
        provider = self.compose(
            *("run", "--rm", "-T", "--no-deps", "--entrypoint", "waitline", "booking"),
            *("audit", "--provider", "--json"),
        )
        documents = [
            self.tools("audit", "--room", room),
            self.tools("audit", "--booking"),
            json.loads(provider),
        ]
        return [finding for document in documents for finding in document["findings"]]

    def enter(self, room: str, visitors: int) -> None:
        """Let visitors enter at once, and record their places."""
        users = [f"visitor-{next(self._numbers)}" for _ in range(visitors)]
        with self.client() as client, ThreadPoolExecutor(THREADS) as threads:
            answers = threads.map(lambda user: enter(client, room, user), users)
            for user, answer in zip(users, answers, strict=True):
                self.entered[room, user] = answer["position"]

    def waiting(self, room: str) -> int:
        """Return how many visitors a room has in its line."""
        rooms = self.tools("rooms", "list")
        found = next(one for one in rooms if one["room"] == room)
        waiting: int = found["waiting"]
        return waiting


def enter(client: Client, room: str, user: str) -> Any:  # noqa: ANN401 - JSON
    """Enter a room and return the answer; a visitor who repeats the call gets the same place."""
    body = {"concertId": room, "userId": user}
    # Proves that a repeat after an answer of 503 comes from the same visitor.
    headers = {"X-Visitor-Key": f"the-key-of-{user}"}
    response = client.post("/api/v1/queue/enter", json=body, headers=headers)
    assert response.status_code == 201, response.text
    return response.json()["data"]


@dataclass(frozen=True)
class Show:
    """One performance and its room."""

    composition: Composition
    room: str
    concert: int
    schedule: int

    def buyer(self, client: Client, user: str) -> "Buyer":
        """Send a visitor through the line to a paid seat."""
        ticket = enter(client, self.room, user)["token"]
        headers = {"X-Queue-Token": ticket, "X-User-Id": user}
        query = {"concertId": self.room, "userId": user}
        token: list[str] = []

        def ready() -> bool:
            data = client.get("/api/v1/queue/status", params=query, headers=headers).json()["data"]
            if data["status"] == "READY":
                token.append(data["token"])
            return bool(token)

        until(ready, SOON_S, f"{user} is admitted")
        headers["X-Queue-Token"] = token[0]
        reservation, seat = self._reserve(client, headers)
        buyer = Buyer(user, headers["X-Queue-Token"], reservation, seat)
        payment = {
            "reservationId": reservation,
            "userId": user,
            "amount": PRICE,
            "paymentMethod": "CARD",
            "concertId": self.room,
        }

        def paid() -> bool:
            answer = client.post("/api/v1/payments", json=payment, headers=headers)
            # A payment whose answer was lost goes on without its buyer.
            assert answer.status_code in {201, 409}, answer.text
            return answer.status_code == 201 or buyer.confirmed(client)

        until(paid, UP_S, f"{user} has paid")
        self.composition.paid[reservation] = buyer
        return buyer

    def _reserve(self, client: Client, headers: Mapping[str, str]) -> tuple[int, int]:
        """Reserve any seat; another one if somebody was faster."""
        while True:
            seats = client.get(f"/api/v1/schedules/{self.schedule}/seats", headers=headers).json()
            seat: int = secrets.choice(seats)["seatId"]
            body = {"seatId": seat, "scheduleId": self.schedule}
            keyed = {**headers, "Idempotency-Key": uuid4().hex}
            answer = client.post("/api/v1/reservations", json=body, headers=keyed)
            if answer.status_code == 409 and answer.json()["code"] == "B003":
                continue
            assert answer.status_code == 201, answer.text
            reservation: int = answer.json()["data"]["reservationId"]
            return reservation, seat


@dataclass(frozen=True)
class Buyer:
    """A visitor who has paid for a seat."""

    user: str
    token: str
    reservation: int
    seat: int

    def confirmed(self, client: Client) -> bool:
        headers = {"X-Queue-Token": self.token, "X-User-Id": self.user}
        found = client.get(f"/api/v1/reservations/{self.reservation}", headers=headers)
        assert found.status_code == 200, found.text
        return (found.json()["status"], found.json()["seatId"]) == ("CONFIRMED", self.seat)


@contextmanager
def running(engine: Engine, folder: Path, *names: str) -> Iterator[Composition]:
    """Run a composition with secrets of its own; a failure shows what its containers wrote."""
    shutil.copytree(
        ROOT / "deploy", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("secrets*")
    )
    made = Composition(engine, folder, names)
    command(folder / "compose" / "prepare", names[0], environment=engine.environment)
    try:
        made.up()
        yield made
    except BaseException as failure:
        failure.add_note(made.compose("ps") + made.compose("logs", "--no-color", "--tail", "30"))
        raise
    finally:
        made.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
