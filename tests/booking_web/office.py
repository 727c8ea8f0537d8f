"""A running installation with a box office, with clients for buyers and operator."""

import asyncio
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx

from tests import databases
from tests.http_client import Client
from tests.processes import Program, started
from tests.until import until
from tests.web.stack import MESSAGES, SOON_S, UP_S, Stack, refused, shows, succeeded
from waitline.trial.installation import Installation, start
from waitline.trial.machine import free_port

# The texts of the wire contract that the box office adds to those of the waiting room.
MESSAGES |= {
    "B001": ("좌석을 찾을 수 없습니다.", "Seat not found."),
    "B003": ("이미 선택된 좌석입니다.", "This seat is already taken."),
    "B004": ("예약을 찾을 수 없습니다.", "Reservation not found."),
    "B005": ("예약이 만료되었습니다.", "The reservation is no longer valid."),
    "B006": ("동시 예약 충돌이 발생했습니다.", "Conflict with a concurrent reservation."),
    "B007": ("콘서트를 찾을 수 없습니다.", "Concert not found."),
    "B008": ("콘서트 일정을 찾을 수 없습니다.", "Schedule not found."),
    "P001": ("결제에 실패했습니다.", "The payment failed."),
    "P003": ("결제 정보를 찾을 수 없습니다.", "Payment not found."),
    "P004": ("이미 진행 중인 결제가 있습니다.", "A payment is already in progress."),
}

# What every stack of these tests knows its play provider by.
SECRETS = {
    "WAITLINE_PAYMENT_KEY": "sandbox-key-of-the-tests",
    "WAITLINE_WEBHOOK_SECRET": "webhook-secret-of-the-tests",
}

# Where visitors of the shared installation in production mode find the waiting room.
QUEUE_URL = "https://queue.example/line"

# Processes of each service of the shared installations.
WORKERS = 2

PRICE = 50_000


class Office:
    """One installation.

    Attributes:
        client: For the booking service.
        queue: The queue service.
        operator: The operator's key, as a header.
        provider: The payment sandbox.
    """

    def __init__(
        self, client: Client, queue: Stack, program: Installation, provider: Program
    ) -> None:
        self.client = client
        self.url = str(client.base_url)
        self.queue = queue
        self.program = program
        self.provider = provider
        self.operator = queue.operator
        self._users = itertools.count(1_000_000)

    def sql(self, statement: str, *values: object) -> Sequence[asyncpg.Record]:
        """Run any SQL statement directly on the database."""

        async def run() -> Sequence[asyncpg.Record]:
            url = (self.queue.data_dir / "postgres.url").read_text("utf-8").strip()
            connection = await asyncpg.connect(url)
            try:
                rows: Sequence[asyncpg.Record] = await connection.fetch(statement, *values)
                return rows
            finally:
                await connection.close()

        return asyncio.run(run())

    def user(self) -> int:
        """Return the number of a user whom nobody else has."""
        return next(self._users)

    def show(self, rows: int = 2, **schedule: object) -> "Show":
        """Put a concert of its own on sale: rows of ten seats, in the grades VIP, R, VIP, …."""
        room = self.queue.room(admitPerSecond=1000)
        concert = self._operate("concerts", {"title": "Tests, live", "queue": room.name})
        body = {"startsAt": "2030-01-01T19:00:00+09:00", **schedule}
        path = f"concerts/{concert['concertId']}/schedules"
        made = self._operate(path, body)
        show = Show(self, room.name, concert["concertId"], made["scheduleId"])
        show.put_on_sale(
            f"Floor,{row},{row}-{seat},{'R' if row % 2 else 'VIP'},{PRICE}"
            for row in range(rows)
            for seat in range(10)
        )
        return show

    def _operate(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        url = f"/api/v1/operator/{path}"
        return succeeded(self.client.post(url, json=body, headers=self.operator), 201)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=headers)

    def metrics(self) -> str:
        response = self.get(f"{self.program.management_urls[1]}/actuator/prometheus")
        assert response.status_code == 200
        return response.text


class Show:
    """One performance, with seats of its own and a waiting room of its own."""

    def __init__(self, office: Office, room: str, concert: int, schedule: int) -> None:
        self.office = office
        self.room = room
        self.concert = concert
        self.schedule = schedule
        self.seats: list[int] = []

    def put_on_sale(self, lines: Iterator[str]) -> None:
        """Import seats and record their numbers."""
        text = "section,row,seat,grade,price\n" + "\n".join(lines)
        response = self.office.client.post(
            f"/api/v1/operator/schedules/{self.schedule}/seats?update=true",
            content=text.encode(),
            headers={**self.office.operator, "Content-Type": "text/csv"},
        )
        succeeded(response, 201)
        found = self.office.sql(
            "SELECT seat_id FROM seat WHERE schedule_id = $1 ORDER BY seat_id", self.schedule
        )
        self.seats = [row["seat_id"] for row in found]

    def states(self) -> dict[int, str]:
        """Return how each seat stands in the database."""
        found = self.office.sql(
            "SELECT seat_id, state FROM seat WHERE schedule_id = $1", self.schedule
        )
        return {row["seat_id"]: row["state"] for row in found}

    def buyer(self, user: int | str | None = None) -> "Buyer":
        """Send a user, or a new one, through the waiting room."""
        buyer = self.waiting(user)
        buyer.wait()
        return buyer

    def buyers(self, count: int) -> "list[Buyer]":
        """Send new users through the waiting room together."""
        buyers = [self.waiting() for _ in range(count)]
        for buyer in buyers:
            buyer.wait()
        return buyers

    def waiting(self, user: int | str | None = None) -> "Buyer":
        """Send a user, or a new one, into the waiting room, and leave it there."""
        user = self.office.user() if user is None else user
        body = {"concertId": self.room, "userId": user}
        response = self.office.queue.client.post("/api/v1/queue/enter", json=body)
        return Buyer(self, user, succeeded(response, 201)["token"])


class Buyer:
    """A user and its token, and every call that it makes."""

    def __init__(self, show: Show, user: int | str, token: str) -> None:
        self.show = show
        self.office = show.office
        self.user = user
        self.ticket = self.token = token

    @property
    def headers(self) -> dict[str, str]:
        return {"X-User-Id": quote(str(self.user)), **shows(self.token)}

    def standing(self) -> httpx.Response:
        query = {"concertId": self.show.room, "userId": str(self.user)}
        client = self.office.queue.client
        return client.get("/api/v1/queue/status", params=query, headers=shows(self.token))

    def wait(self) -> None:
        """Wait until the waiting room lets it in, and take its pass."""

        def inside() -> bool:
            received = succeeded(self.standing())
            if received["status"] == "READY":
                self.token = received["token"]
            return bool(received["status"] == "READY")

        until(inside, SOON_S, f"{self.user} is let in")

    def seats(self, query: str = "", **headers: str) -> httpx.Response:
        path = f"/api/v1/schedules/{self.show.schedule}/seats{query}"
        return self.office.get(path, **{**self.headers, **headers})

    def reserve(self, *seats: int, **headers: str) -> httpx.Response:
        named = {"seatId": seats[0]} if len(seats) == 1 else {"seatIds": list(seats)}
        return self.ask(named, **headers)

    def ask(self, wanted: dict[str, Any], **headers: str) -> httpx.Response:
        body = {"scheduleId": self.show.schedule, **wanted}
        return self.office.client.post(
            "/api/v1/reservations", json=body, headers={**self.headers, **headers}
        )

    def reserved(self, *seats: int) -> int:
        """Reserve and return the reservation's number."""
        number: int = succeeded(self.reserve(*seats), 201)["reservationId"]
        return number

    def reservation(self, number: int) -> httpx.Response:
        return self.office.get(f"/api/v1/reservations/{number}", **self.headers)

    def cancel(self, number: int, **headers: str) -> httpx.Response:
        path = f"/api/v1/reservations/{number}"
        return self.office.client.delete(path, headers={**self.headers, **headers})

    def pay(
        self, reservation: int, headers: dict[str, str] | None = None, **body: object
    ) -> httpx.Response:
        whole = {
            "reservationId": reservation,
            "userId": self.user,
            "amount": PRICE,
            "paymentMethod": "CARD",
            "concertId": self.show.room,
            **body,
        }
        sent = {**shows(self.token), **(headers or {})}
        return self.office.client.post("/api/v1/payments", json=whole, headers=sent)

    def payment(self, number: int) -> httpx.Response:
        return self.office.get(f"/api/v1/payments/{number}", **self.headers)


@contextmanager
def running(mode: str, workers: int = 1, /, **more: str) -> Iterator[Office]:
    """Run an installation that sells, with a payment provider of its own.

    Args:
        mode: trial or production.
        workers: Processes of each service. Each takes 1 s of CPU time to start.
        more: Further settings, by the names of their variables.
    """
    with ExitStack() as stack:
        booking_port, pay_port = free_port(), free_port()
        client = stack.enter_context(Client(f"http://127.0.0.1:{booking_port}"))
        pay_url = f"http://127.0.0.1:{pay_port}"
        webhook = f"http://127.0.0.1:{booking_port}/api/v1/payments/webhook"
        words = ["sandbox-pay", "--port", pay_port, "--webhook-url", webhook, "--latency", "0"]
        provider = stack.enter_context(
            started(_waitline(words), SECRETS, lambda: _answers(client, f"{pay_url}/health"), UP_S)
        )
        chosen = {
            **SECRETS,
            "WAITLINE_MODE": mode,
            "WAITLINE_PAYMENTS": "play-money",
            "WAITLINE_BOOKING_PORT": str(booking_port),
            "WAITLINE_PAYMENT_URL": pay_url,
            "WAITLINE_BOOKING_WORKERS": str(workers),
            **more,
        }
        settings = {name.removeprefix("WAITLINE_").lower(): chosen[name] for name in chosen}
        # Not nested deeply: the path of a unix socket has a maximum length.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wl-")))
        databases.prepare(folder / "data" / "postgres")
        program = stack.enter_context(
            start(
                workers, settings, box_office=True, data_dir=folder / "data",
                batch_scheduling=False,
            )
        )  # fmt: skip
        queue_client = stack.enter_context(Client(program.url))
        queue = Stack(program.url, program.data_dir, program, queue_client)
        yield Office(client, queue, program, provider)


def _answers(client: httpx.Client, url: str) -> bool:
    # A client of its own would read all the certificates of the machine at every look.
    with suppress(httpx.TransportError):
        return client.get(url).status_code == 200
    return False


def _waitline(words: list[Any]) -> list[str]:
    return [sys.executable, "-m", "waitline", *map(str, words)]


__all__ = ["PRICE", "QUEUE_URL", "Buyer", "Office", "Show", "refused", "running", "succeeded"]


def own_hold(response: httpx.Response, reservation: int) -> None:
    """Check that a seat is refused because the buyer's own reservation has it."""
    body = refused(response, 409, "B003", more=frozenset({"data"}))
    assert body["data"] == {"reservationId": reservation}
    assert body["type"] == "urn:waitline:problem:own-hold"
