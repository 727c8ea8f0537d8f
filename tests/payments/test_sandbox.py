"""The payment sandbox through its adapter, and its ledger."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from random import Random
from sqlite3 import IntegrityError
from typing import Any
from uuid import UUID

import aiohttp
import httpx
import pytest
from aiohttp import web
from typer.testing import CliRunner

from tests.booking.sale import at_once
from tests.payments.shop import (
    DEADLINE_S,
    KEY,
    SECRET,
    SILENCE_S,
    SandboxProcess,
    ledger,
    new_key,
    sandbox_running,
)
from waitline.cli import app
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.payment_providers.model import Charged, Money, NotCharged, WebhookForged
from waitline.payment_providers.sandbox import ledger as books
from waitline.payment_providers.sandbox.adapter import Sandbox
from waitline.payment_providers.sandbox.behaviour import Effect, SandboxBehaviour
from waitline.payment_providers.sandbox.ledger import (
    Charge,
    ChargeState,
    KeyReused,
    Ledger,
    NothingToRefund,
)
from waitline.payment_providers.sandbox.signatures import HEADER, sign
from waitline.trial.machine import free_port

AMOUNT = Money(100, "KRW")

AUTHORIZED = {"Authorization": f"Bearer {KEY}"}

Use = Callable[[Sandbox], Coroutine[Any, Any, None]]


def uses(url: str, use: Use, *, key: str = KEY, timeout_s: float = DEADLINE_S) -> None:
    async def whole() -> None:
        provider = Sandbox(key, SECRET, url=url, timeout_s=timeout_s)
        try:
            await use(provider)
        finally:
            await provider.close()

    asyncio.run(whole())


def charge_of(sandbox: SandboxProcess, key: object) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(
        f"{sandbox.url}/v1/charges/{key}", headers=AUTHORIZED, timeout=DEADLINE_S
    ).json()
    return answer


def test_a_key_is_charged_once_however_often_it_is_asked_for(
    slow_sandbox: SandboxProcess,
) -> None:
    key = new_key()

    async def use(provider: Sandbox) -> None:
        outcomes = await at_once([lambda: provider.charge(key, AMOUNT, "CARD")] * 10)
        assert set(outcomes) == {Charged(f"sandbox-{key.hex}", AMOUNT)}
        assert await provider.fetch_outcome(key, AMOUNT) == outcomes[0]

    uses(slow_sandbox.url, use)
    charge = charge_of(slow_sandbox, key)
    assert (charge["asked"], charge["charged"], charge["refunded"]) == (10, 1, 0)


def test_a_charge_that_nobody_waits_for_is_made_all_the_same(
    slow_sandbox: SandboxProcess,
) -> None:
    async def use(provider: Sandbox) -> None:
        key = new_key()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(provider.charge(key, AMOUNT, "CARD"))
            while not await _known(slow_sandbox, key):
                pass
            task.cancel()
        outcome = await provider.fetch_outcome(key, AMOUNT)
        while outcome is None:
            outcome = await provider.fetch_outcome(key, AMOUNT)
        assert outcome == Charged(f"sandbox-{key.hex}", AMOUNT)

    async def _known(sandbox: SandboxProcess, key: object) -> bool:
        async with (
            aiohttp.ClientSession(headers=AUTHORIZED) as session,
            session.get(f"{sandbox.url}/v1/charges/{key}") as response,
        ):
            return response.ok

    uses(slow_sandbox.url, use)


def test_what_was_looked_for_before_it_came_is_never_charged(sandbox: SandboxProcess) -> None:
    async def use(provider: Sandbox) -> None:
        key = new_key()
        closed = NotCharged("closed before it was asked for")
        assert await provider.fetch_outcome(key, AMOUNT) == closed
        assert await provider.charge(key, AMOUNT, "CARD") == closed
        assert charge_of(sandbox, key)["charged"] == 0

    uses(sandbox.url, use)


def test_refunds_are_made_once_and_only_of_charges(sandbox: SandboxProcess) -> None:
    async def use(provider: Sandbox) -> None:
        key, declined = new_key(), new_key()
        await provider.charge(key, AMOUNT, "CARD")
        await provider.charge(declined, AMOUNT, "DECLINE")
        for wrong, amount in ((declined, AMOUNT), (new_key(), AMOUNT), (key, Money(101, "KRW"))):
            with pytest.raises(Unavailable, match="409"):
                await provider.refund(wrong, "ref", amount)
        await at_once([lambda: provider.refund(key, "ref", AMOUNT)] * 5)
        assert charge_of(sandbox, key)["refunded"] == 1
        charged = Charged(f"sandbox-{key.hex}", AMOUNT, AMOUNT.amount)
        assert await provider.fetch_outcome(key, AMOUNT) == charged

    uses(sandbox.url, use)


def test_a_charge_that_is_never_answered_is_made(sandbox: SandboxProcess) -> None:
    async def use(provider: Sandbox) -> None:
        key = new_key()
        with pytest.raises(Unavailable, match="Timeout"):
            await provider.charge(key, AMOUNT, "TIMEOUT")
        assert await provider.fetch_outcome(key, AMOUNT) == Charged(f"sandbox-{key.hex}", AMOUNT)
        # A repeated request gets the same answer.
        assert await provider.charge(key, AMOUNT, "TIMEOUT") == Charged(
            f"sandbox-{key.hex}", AMOUNT
        )

    uses(sandbox.url, use, timeout_s=SILENCE_S)


def test_strangers_and_nonsense_are_refused(sandbox: SandboxProcess) -> None:
    async def use(provider: Sandbox) -> None:
        with pytest.raises(Unavailable, match="401"):
            await provider.charge(new_key(), AMOUNT, "CARD")

    uses(sandbox.url, use, key="another-key-of-16")
    key = str(new_key())
    good = {"key": key, "amount": 1, "currency": "KRW", "method": "CARD"}
    for body, status in [
        (b"", 400),
        (b"{", 400),
        ({**good, "amount": 0}, 400),
        ({**good, "key": "7"}, 400),
        ({**good, "method": ""}, 400),
        ({**good, "method": "é" * 40_000}, 413),
        (good, 200),
        ({**good, "amount": 2}, 422),
        ({**good, "currency": "JPY"}, 422),
        ({**good, "currency": "krw"}, 400),
    ]:
        answer = httpx.post(
            f"{sandbox.url}/v1/charges",
            headers=AUTHORIZED,
            timeout=DEADLINE_S,
            **({"content": body} if isinstance(body, bytes) else {"json": body}),
        )
        assert answer.status_code == status, body
    listed = httpx.get(f"{sandbox.url}/v1/charges", headers=AUTHORIZED, timeout=DEADLINE_S).json()
    assert listed[-1]["key"] == key


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(web.Response(status=500), id="broken"),
        pytest.param(web.Response(body=b"<html>"), id="another service"),
        pytest.param(web.Response(body=b"{}"), id="empty"),
        pytest.param(web.Response(body=b" " * 100_000), id="endless"),
    ],
)
def test_an_answer_that_makes_no_sense_tells_nothing(answer: web.Response) -> None:
    async def whole() -> None:
        async def handle(_: web.BaseRequest) -> web.Response:
            return answer

        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        provider = Sandbox(KEY, SECRET, url=f"http://127.0.0.1:{port}")
        try:
            with pytest.raises(Unavailable):
                await provider.charge(new_key(), AMOUNT, "CARD")
        finally:
            await provider.close()
            await runner.cleanup()

    asyncio.run(whole())


class Stopped:
    """A clock."""

    def now_ms(self) -> int:
        return 1_800_000_000_000


@pytest.mark.parametrize(
    ("body", "age_s", "reason"),
    [
        *((body, 0, "body") for body in (b"{}", b"?", b"\xff", b'{"x":' + b"[" * 5_000)),
        *((b"{}", age_s, "age") for age_s in (301, -301)),
    ],
)
def test_a_message_of_another_kind_or_time_is_refused(body: bytes, age_s: int, reason: str) -> None:
    provider = Sandbox(KEY, SECRET, url="http://127.0.0.1:9", clock=Stopped())
    headers = {HEADER: sign(SECRET, body, 1_800_000_000 - age_s)}
    with pytest.raises(WebhookForged) as forged:
        provider.parse_webhook(headers, body)
    assert forged.value.reason == reason


def test_what_was_charged_survives_a_restart(tmp_path: Path) -> None:
    charged, declined, refunded = new_key(), new_key(), new_key()

    async def before(provider: Sandbox) -> None:
        await provider.charge(charged, AMOUNT, "CARD")
        await provider.charge(declined, AMOUNT, "DECLINE")
        await provider.charge(refunded, AMOUNT, "CARD")
        await provider.refund(refunded, "ref", AMOUNT)

    async def after(provider: Sandbox) -> None:
        assert await provider.charge(charged, AMOUNT, "CARD") == Charged(
            f"sandbox-{charged.hex}", AMOUNT
        )
        assert isinstance(await provider.charge(declined, AMOUNT, "DECLINE"), NotCharged)
        await provider.refund(refunded, "ref", AMOUNT)

    with sandbox_running(*ledger(tmp_path)) as first:
        uses(first.url, before)
        first.program.process.kill()
    with sandbox_running(*ledger(tmp_path)) as second:
        uses(second.url, after)
        assert charge_of(second, charged)["charged"] == 1
        assert charge_of(second, refunded)["refunded"] == 1


def charged(kept: Ledger, key: UUID) -> Charge:
    charge, new = kept.begin_charge(key, AMOUNT, "CARD")
    assert new
    kept.complete_charge(charge)
    return charge


def test_a_commit_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path, crashed = tmp_path / "ledger.sqlite3", tmp_path / "crashed.sqlite3"
    whole, torn = new_key(), new_key()
    with closing(Ledger(path)) as first:
        for key in (whole, torn):
            charged(first, key)
        # What a crash would leave: closing it would tidy up.
        log = path.with_name(f"{path.name}-wal").read_bytes()
        crashed.write_bytes(path.read_bytes())
        crashed.with_name(f"{crashed.name}-wal").write_bytes(log[:-20])
    with closing(Ledger(crashed)) as second:
        assert second.find_charge(torn) is None
        charged(second, torn)
    with closing(Ledger(crashed)) as third:
        assert [charge.key for charge in third.latest_charges(9)] == [whole, torn]


def test_charges_in_progress_in_a_crash_are_unknown(tmp_path: Path) -> None:
    path, key = tmp_path / "ledger.sqlite3", new_key()
    with closing(Ledger(path)) as first:
        first.begin_charge(key, AMOUNT, "CARD")
    with closing(Ledger(path)) as second:
        assert second.find_charge(key) is None
        charged(second, key)


def test_a_charge_is_read_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with closing(Ledger(path)) as kept:
        settled = charged(kept, new_key())
        declined, _ = kept.begin_charge(new_key(), AMOUNT, "DECLINE")
        kept.decline_charge(declined, "declined by the bank")
        closed = kept.close_charge(new_key())
        assert kept.begin_charge(settled.key, AMOUNT, "CARD")[1] is False
    with closing(Ledger(path)) as again:
        settled.asked = 2
        assert again.latest_charges(9) == [settled, declined, closed]
        back, new = again.refund_charge(settled.key, AMOUNT.amount)
        assert (back.state, back.refunded, new) == (ChargeState.REFUNDED, 1, True)
        assert again.refund_charge(settled.key, AMOUNT.amount) == (back, False)


def test_two_sandboxes_on_one_file_charge_a_key_once(tmp_path: Path) -> None:
    path, key = tmp_path / "ledger.sqlite3", new_key()
    with closing(Ledger(path)) as one, closing(Ledger(path)) as other:
        # So that their keys are the same, and not their numbers.
        other.begin_charge(new_key(), AMOUNT, "CARD")
        twin, _ = other.begin_charge(key, AMOUNT, "CARD")
        charged(one, key)
        with pytest.raises(IntegrityError, match=r"charge\.key"):
            other.complete_charge(twin)


def test_a_file_that_is_no_ledger_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text('{"key": "of an older version"}\n' * 40, "utf-8")
    with pytest.raises(Misconfigured, match="as a ledger"):
        Ledger(path)


def test_the_books_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "CHARGES_MAX", 3)
    path = tmp_path / "ledger.sqlite3"
    keys = [new_key() for _ in range(20)]
    with closing(Ledger(path)) as kept:
        for key in keys:
            charged(kept, key)
        assert [charge.key for charge in kept.latest_charges(9)] == keys[-3:]
    with closing(Ledger(path)) as again:
        assert [charge.key for charge in again.latest_charges(9)] == keys[-3:]


def test_books_refuse_what_does_not_fit() -> None:
    kept, key = Ledger(), new_key()
    charge, new = kept.begin_charge(key, AMOUNT, "CARD")
    assert new
    assert charge.state is ChargeState.PROCESSING
    with pytest.raises(KeyReused):
        kept.begin_charge(key, AMOUNT, "OTHER")
    with pytest.raises(NothingToRefund):
        kept.refund_charge(key, AMOUNT.amount)
    assert kept.close_charge(key) is charge
    assert charge.state is ChargeState.PROCESSING
    assert kept.find_charge(new_key()) is None
    assert Charge(key).state is ChargeState.PROCESSING


def test_methods_force_effects_and_others_meet_them_by_chance() -> None:
    behaviour = SandboxBehaviour(shares={Effect.DECLINE: 0.25, Effect.TIMEOUT: 1.0})
    rng = Random(7)  # noqa: S311 - a run that can be repeated
    assert behaviour.draw_effects("DECLINE+LATE_WEBHOOK", rng) == {
        Effect.DECLINE,
        Effect.LATE_WEBHOOK,
    }
    met = [behaviour.draw_effects("CARD", rng) for _ in range(1_000)]
    assert all(Effect.TIMEOUT in effects for effects in met)
    assert 200 < sum(Effect.DECLINE in effects for effects in met) < 300
    assert SandboxBehaviour().draw_effects("DECLINE+CARD", rng) == set()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--latency", "1..0.5"], "--latency 1..0.5"),
        (["--latency", "x"], "--latency x"),
        (["--latency", "nan"], "--latency nan"),
        (["--share", "DECLINE=2"], "--share DECLINE=2"),
        (["--share", "NOTHING=0.1"], "--share NOTHING=0.1"),
    ],
)
def test_the_command_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.setenv("WAITLINE_PAYMENT_KEY", KEY)
    monkeypatch.setenv("WAITLINE_WEBHOOK_SECRET", SECRET)
    assert says in str(CliRunner().invoke(app, ["sandbox-pay", *words]).exception)


def test_the_command_needs_the_shops_secrets() -> None:
    done = CliRunner().invoke(app, ["sandbox-pay"])
    assert isinstance(done.exception, Misconfigured)
    assert "WAITLINE_PAYMENT_KEY" in str(done.exception)
