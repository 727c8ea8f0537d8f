"""The gate decides the vectors of the connectors as these do, in this process on a real store."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.servers import Server
from tests.unit.test_gate_vectors import NOW_S, RING, VECTORS
from waitline import settings as chosen
from waitline.gate.model import parse_document
from waitline.gate.store import Protection
from waitline.http.requests import Request
from waitline.http.responses import Answer
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId
from waitline.queue import batches, keys
from waitline.queue.limits import Limits
from waitline.queue.relations import Standby
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.services.queue import now_serving
from waitline.services.queue.app import QueueParts
from waitline.services.queue.gate import GateCalls
from waitline.valkey.client import ValkeyClient

PATIENCE_S = 20.0

ROOMS = (RoomId("summer"), RoomId("autumn"))

SITE_WIDE = "the gate looks for a pass in the address at guarded pages alone"
OWN_STAY = "the stay is in the store, not in an answer: test_gate_bind.py"
APART = {
    "another host in the header is not signed": "test_gate.py: the gate signs no other host",
    "the second of our own hosts": "the gate signs the host of the room's shop and those of rules",
    "at a page that is not guarded": SITE_WIDE,
    "an expired one at a page that is not guarded": SITE_WIDE,
    "a forged one beside a good cookie": "the gate lets the good cookie pass without a redirect",
    "a walked-in pass that is not this browser's": OWN_STAY,
    "a pass asks whose it is": OWN_STAY,
    "a pass of this browser": OWN_STAY,
    "a pass of a new browser": OWN_STAY,
    "a pass of another browser": OWN_STAY,
}
"""Decisions that are not the gate's, by name, and why."""

ROWS = {row["name"]: row for row in VECTORS["decisions"] if row["name"] not in APART}


class Decided(NamedTuple):
    """What the gate and the connectors decide alike."""

    status: int
    takes_place: bool
    location: str
    visitor: str
    cookies: frozenset[str]


class StoppedClock:
    """The time of the vectors."""

    def now_ms(self) -> int:
        return int(NOW_S) * 1_000


def queue_of(row: dict[str, Any]) -> str:
    """Return how the queue is: it admits without a line what asks for a place, if it may."""
    if not row.get("reachable", True):
        return "away"
    formed = row.get("answers", {}).get("walkedIn") is False
    return "line" if formed or row["expect"]["outcome"] == "refused" else "standby"


def expected(row: dict[str, Any]) -> Decided:
    """Return what the gate makes of a decision of the connectors.

    It passes requests on with 204. It asks the store itself where they name a call. It binds
    browsers only where a rule says so, and shows at the line that cookies are kept by one of their
    own. Whose pass in the address is not good goes back to the line.
    """
    expect, bound = row["expect"], row["request"]["target"].startswith("/bound/")
    headers: Sequence[tuple[str, str]] = expect["headers"]
    status, location = expect["status"] or 204, dict(headers).get("Location", "")
    cookies = {value.partition("=")[0] for name, value in headers if name == "Set-Cookie"}
    walks_in = expect["outcome"] == "call" or isinstance(
        row.get("answers", {}).get("walkedIn"), str
    )
    if expect["outcome"] == "call":
        cookies = {pass_cookie("autumn" if bound else "summer")}
    if expect["outcome"] == "refused":
        framed = row["request"]["headers"].get("sec-fetch-dest") == "iframe"
        status = 429 if framed else 302
        location = "" if framed else expect["link"].removesuffix("#renew")
    if not bound:
        cookies.discard("__Host-waitline-browser")
    if status == 302 and not cookies:
        cookies = {"waitline-kept"}
    visitor = expect.get("visitor", "") if status == 204 and not walks_in else ""
    return Decided(status, walks_in, location, visitor, frozenset(cookies))


def pass_cookie(room: str) -> str:
    return "__Host-waitline-pass-" + sha256(room.encode()).hexdigest()[:16]


def asked(row: dict[str, Any]) -> Request:
    """Describe a request to the gate, as Traefik and Caddy do."""
    sent = row["request"]
    fields: dict[str, str] = {
        **sent["headers"],
        "x-forwarded-method": sent["method"],
        "x-forwarded-proto": "https",
        "x-forwarded-host": sent["host"],
        "x-forwarded-uri": sent["target"] + ("?" + sent["query"] if sent["query"] else ""),
    }
    if "__Host-waitline-browser=" in fields.get("cookie", ""):
        # The gate's line has shown by its own cookie that the browser keeps cookies.
        fields["cookie"] += "; waitline-kept=1"
    encoded = {name.encode(): value.encode() for name, value in fields.items()}
    return Request("/api/v1/gate", b"", encoded, peer="127.0.0.1")


async def decided(gate: GateCalls, row: dict[str, Any]) -> Decided:
    try:
        found = gate.decide(asked(row))
        answer = found if isinstance(found, Answer) else await found
    except Unavailable:
        # What the service answers with 503.
        return Decided(503, takes_place=False, location="", visitor="", cookies=frozenset())
    headers = [(name.decode(), value.decode()) for name, value in answer.headers]
    shown = dict(headers)
    takes_place = shown.get("x-waitline-decision") == "standby"
    return Decided(
        answer.status,
        takes_place,
        shown.get("location", ""),
        "" if takes_place else shown.get("x-waitline-user", ""),
        frozenset(value.partition("=")[0] for name, value in headers if name == "set-cookie"),
    )


@asynccontextmanager
async def opened(url: str, folder: Path, queue: str) -> AsyncIterator[GateCalls]:
    """Run a gate with the rules, keys and rooms of the vectors."""
    standby = Standby.ON if queue == "standby" else Standby.OFF
    settings = chosen.load(
        mode="trial", data_dir=folder, valkey_url=url, trusted_proxies="127.0.0.1",
        queue_public_url=VECTORS["queueUrl"],
    )  # fmt: skip
    store = ValkeyClient(url, timeout_s=PATIENCE_S)
    rules = parse_document(json.dumps({**VECTORS["protection"], "version": 0}).encode())
    await Protection(store).replace(rules)
    for room in ROOMS:
        shop = VECTORS["origins"][0] + "/"
        await Rooms(store).create(
            room, Rules(standby=standby, shop_url=shop, limits=Limits(admit_per_s=1_000.0))
        )
        # A new room's bucket is empty.
        seconds, _ = await store.command("TIME")
        await store.command(
            "HSET", keys.of(room).rate, "tokens", 100, "tokens_at", int(seconds) * 1_000
        )
        for place in VECTORS["revoked"].get(room, ()):
            await store.command("ZADD", keys.of(room).departed, NOW_S * 1_000, place)
    parts = QueueParts.of(settings, store, StoppedClock(), site_key=VECTORS["siteKey"])
    parts.keys.current = RING
    async with asyncio.TaskGroup() as running:
        tasks = [running.create_task(job) for job in parts.batchers.jobs()]
        if queue == "away":
            # The rules are known by then.
            await decided(parts.gate, ROWS["no rule"])
            store.refuse("away")
        yield parts.gate
        for task in tasks:
            task.cancel()
    await store.close()


@pytest.fixture(scope="module")
def decisions(valkey: Server, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Decided]:
    """What the gate decides, by name."""
    folder = tmp_path_factory.mktemp("gate")

    async def run(queue: str) -> dict[str, Decided]:
        async with opened(valkey.url, folder, queue) as gate:
            return {
                name: await decided(gate, row)
                for name, row in ROWS.items()
                if queue_of(row) == queue
            }

    found: dict[str, Decided] = {}
    with pytest.MonkeyPatch.context() as patched:
        # A walk-in that a busy machine holds up would be sent to the line.
        for module, name in ((batches, "LIMITS"), (now_serving, "CHECKED")):
            patient = replace(getattr(module, name), patience_s=PATIENCE_S)
            patched.setattr(module, name, patient)
        for queue in ("standby", "line", "away"):
            valkey.wait(valkey.clear())
            found |= valkey.wait(run(queue))
    return found


@pytest.mark.parametrize("name", ROWS)
def test_decisions(decisions: Mapping[str, Decided], name: str) -> None:
    assert decisions[name] == expected(ROWS[name])


def test_what_is_apart_is_a_vector() -> None:
    assert set(APART) <= {row["name"] for row in VECTORS["decisions"]}
