"""A shop with a sandbox: reservations, a checkout, and the sandbox's own books."""

import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import aiohttp
import httpx
import pytest
from aiohttp import web

from tests.booking.sale import PRICE, Sale, person
from tests.databases import TestDatabase
from tests.processes import Program, started
from tests.until import until_async
from waitline.booking.buyer import Buyer
from waitline.booking.checkout import Checkout
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Unavailable
from waitline.payment_providers.model import Money
from waitline.payment_providers.sandbox.adapter import Sandbox
from waitline.trial.machine import free_port

KEY = "key-of-the-tests-0001"
SECRET = "secret-of-the-tests-0001"

# A busy machine is no failure here.
DEADLINE_S = 30.0

# Seconds until the sandbox answers, on a machine that runs other tests as well.
UP_S = 90.0

# How long a charge may take that is never answered.
SILENCE_S = 2.0

USER = person(7)

# The price of each seat.
WON = Money(PRICE, "KRW")

Headers = dict[str, str]


class SandboxProcess(NamedTuple):
    url: str
    webhook_port: int
    program: Program


@contextmanager
def sandbox_running(
    *words: str, port: int | None = None, webhook_port: int | None = None
) -> Iterator[SandboxProcess]:
    """Run `waitline sandbox-pay`, without latency by default."""
    port, webhook_port = port or free_port(), webhook_port or free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [
        sys.executable, "-m", "waitline", "sandbox-pay",
        "--port", str(port), "--latency", "0", "--late-s", "0",
        "--webhook-url", f"http://127.0.0.1:{webhook_port}/webhook", *words,
    ]  # fmt: skip
    env = {"WAITLINE_PAYMENT_KEY": KEY, "WAITLINE_WEBHOOK_SECRET": SECRET}

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/health", timeout=1.0).is_success
        except httpx.HTTPError:
            return False

    with started(argv, env, ready, UP_S) as program:
        yield SandboxProcess(url, webhook_port, program)


class Mailbox:
    """The shop's webhook: records what the sandbox sends, and forwards it at once on request."""

    def __init__(self) -> None:
        self.letters: deque[tuple[Headers, bytes]] = deque(maxlen=10_000)
        self.read: Callable[[Headers, bytes], Awaitable[None]] | None = None

    async def take(self, request: web.Request) -> web.Response:
        letter = ({name.lower(): value for name, value in request.headers.items()},
                  await request.read())  # fmt: skip
        if self.read is not None:
            await self.read(*letter)
        self.letters.append(letter)
        return web.Response()

    def about(self, key: UUID) -> list[tuple[Headers, bytes]]:
        return [letter for letter in self.letters if str(key).encode() in letter[1]]


class Shop:
    """One process of the box office, and what its sandbox says of it."""

    def __init__(self, sale: Sale, sandbox: SandboxProcess, mailbox: Mailbox) -> None:
        self.sale = sale
        self.mailbox = mailbox
        self.provider = Sandbox(KEY, SECRET, url=sandbox.url, timeout_s=DEADLINE_S)
        self.impatient = Sandbox(KEY, SECRET, url=sandbox.url, timeout_s=SILENCE_S)
        self.checkout = Checkout(sale.database, self.provider, at_price=True)
        # Gives up soon what is never answered.
        self.hasty = Checkout(sale.database, self.impatient, at_price=True)
        self.url = sandbox.url
        self.opened_ms = SystemClock().now_ms()

    async def hold(self, *seats: int, user: int | Buyer = USER) -> int:
        reservation = await self.sale.reservations.reserve(1, seats or (1,), person(user))
        return reservation.reservation_id

    async def pay(self, reservation: int, method: str = "CARD", user: int | Buyer = USER) -> Any:  # noqa: ANN401
        return await self.checkout.pay(reservation, person(user), PRICE, method)

    async def unanswered(self, method: str = "TIMEOUT", reservation: int | None = None) -> int:
        """Pay a reservation, or a new one of seat 1, without getting an answer; return it."""
        reservation = reservation or await self.hold(1)
        with pytest.raises(Unavailable):
            await self.hasty.pay(reservation, USER, PRICE, method)
        return reservation

    async def key(self) -> UUID:
        """Of the attempt that was begun last."""
        rows = await self.sale.sql("SELECT charge_key FROM payment ORDER BY payment_id DESC")
        return UUID(str(rows[0]["charge_key"]))

    async def charge(self, key: UUID) -> dict[str, Any]:
        """What the sandbox says of one key."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(
                f"{self.url}/v1/charges/{key}", headers={"Authorization": f"Bearer {KEY}"}
            ) as response,
        ):
            charge: dict[str, Any] = await response.json() if response.ok else {}
            return charge

    async def dashboard(self, key: UUID, what: str, **body: object) -> None:
        """Do something in the sandbox that the shop did not ask for."""
        path = (
            f"/v1/charges/{key}/authenticate"
            if what == "authenticate"
            else f"/dashboard/{key}/{what}"
        )
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                self.url + path, json=body, headers={"Authorization": f"Bearer {KEY}"}
            ) as response,
        ):
            assert response.ok, await response.text()

    async def hear(self, key: UUID, about: str) -> None:
        """Handle the last webhook of a charge about something, once it has come."""
        await self.letter(key, about)
        await self.checkout.webhook(*self.letters_about(key, about)[-1])

    async def flags(self) -> list[str | None]:
        """The flags of all payments, in order of their creation."""
        rows = await self.sale.sql("SELECT flag FROM payment ORDER BY created_at")
        return [row["flag"] for row in rows]

    async def letter(self, key: UUID, about: str = "") -> tuple[Headers, bytes]:
        """Wait for what the sandbox tells of a charge."""

        async def is_there() -> bool:
            return bool(self.letters_about(key, about))

        await until_async(is_there, DEADLINE_S)
        return self.letters_about(key, about)[0]

    def letters_about(self, key: UUID, about: str) -> list[tuple[Headers, bytes]]:
        return [one for one in self.mailbox.about(key) if about.encode() in one[1]]

    async def expire(self) -> None:
        """Let the time of reservation 1 be over, paying or not, and its seats be on sale."""
        await self.sale.lapse(1)
        await self.sale.reservations.expire(1)

    async def settled(self) -> None:
        """Let all pauses be over, again and again, until nothing is open."""

        async def nothing_is_open() -> bool:
            await self.sale.sql("UPDATE payment SET look_at = listening_now()")
            return await self.checkout.settle() == 0

        await until_async(nothing_is_open, DEADLINE_S)

    async def balance(self) -> None:
        """Check that the money taken is that of confirmed reservations, by the sandbox's books."""
        rows = await self.sale.sql(
            "SELECT p.charge_key, p.state, p.amount, r.reservation_id, r.state AS reservation "
            "FROM payment p JOIN reservation r USING (reservation_id)"
        )
        kept: dict[int, int] = {}
        for row in rows:
            charge = await self.charge(row["charge_key"])
            taken, returned = charge.get("charged", 0), charge.get("refunded", 0)
            assert (taken, returned) in {(0, 0), (1, 0), (1, 1)}
            if row["amount"] == 0:
                assert charge == {}
                taken = 1 if row["state"] in {"COMPLETED", "REFUNDED"} else 0
                returned = 1 if row["state"] == "REFUNDED" else 0
            assert (taken - returned == 1) is (row["state"] == "COMPLETED")
            kept[row["reservation_id"]] = kept.get(row["reservation_id"], 0) + taken - returned
        confirmed = {row["reservation_id"] for row in rows if row["reservation"] == "CONFIRMED"}
        assert {number for number, count in kept.items() if count} == confirmed
        assert set(kept.values()) <= {0, 1}
        found = await self.sale.findings()
        assert found == [], found


@asynccontextmanager
async def open_shop(
    postgres: TestDatabase, sandbox: SandboxProcess, *, seats: int = 10
) -> AsyncIterator[Shop]:
    """Open a sale whose webhook listens; without seats, go on with the sale there is."""
    mailbox = Mailbox()
    application = web.Application()
    application.router.add_post("/webhook", mailbox.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", sandbox.webhook_port).start()
    sale = Sale(postgres)
    if seats:
        await sale.open(seats)
    shop = Shop(sale, sandbox, mailbox)
    try:
        yield shop
    finally:
        await shop.provider.close()
        await shop.impatient.close()
        await runner.cleanup()


def plays(
    postgres: TestDatabase,
    sandbox: SandboxProcess,
    play: Callable[[Shop], Coroutine[Any, Any, None]],
    *,
    seats: int = 10,
) -> None:
    """Run a play in a shop of its own; at its end all is settled and the books balance."""

    async def whole() -> None:
        async with open_shop(postgres, sandbox, seats=seats) as shop:
            await play(shop)
            await shop.settled()
            await shop.balance()

    postgres.wait(whole())


def new_key() -> UUID:
    return uuid4()


def ledger(folder: Path) -> list[str]:
    return ["--ledger-file", str(folder / "ledger.sqlite3")]
