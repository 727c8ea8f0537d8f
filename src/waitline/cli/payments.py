"""`waitline payments`: payments that need an operator's attention."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from waitline import settings as chosen
from waitline.booking import currency as money
from waitline.booking import unknown_charges
from waitline.booking.attention import Attention
from waitline.booking.model import PaymentUnknown
from waitline.booking.unknown_charges import (
    RefundMade,
    RefundOutcome,
    UnknownCharge,
    UnknownCharges,
)
from waitline.cli import options
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import json_line
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal
from waitline.payment_providers.port import Provider
from waitline.payment_providers.registry import open_provider
from waitline.postgres.pool import Database

app = typer.Typer()

T = TypeVar("T")


@app.callback(invoke_without_command=True)
def listed(
    context: typer.Context,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """List payments that need attention, oldest first.

    These are refunds made in the provider's dashboard, refunds that failed or have been pending for
    a day, disputes, charges of a wrong amount, and payments without an outcome. Exit status 1 if
    there are any.
    """
    if context.invoked_subcommand is not None:
        return
    settings = chosen.load(data_dir=data_dir, database_url=database_url)
    count, found = _with_attention(settings, Attention.flagged)
    if as_json:
        rows = [{**one._asdict(), "since": one.since.isoformat()} for one in found]
        typer.echo(json_line({"count": count, "payments": rows}))
    else:
        table = Table("payment", "user", "state", "flag", "amount", "refunded", "since", box=None)
        for one in found:
            table.add_row(
                str(one.payment_id),
                one.user_id,
                one.state,
                one.flag,
                money.shown(one.amount, one.currency),
                money.shown(one.refunded, one.charged_currency or one.currency),
                f"{one.since:%Y-%m-%d %H:%M}",
            )
        terminal = Terminal()
        terminal.print(f"{counted(count, 'payment needs', 'payments need')} attention")
        if found:
            terminal.print(table)
    if count:
        raise typer.Exit(1)


@app.command("acknowledge")
def acknowledge(
    payment: Annotated[int, typer.Argument(help="Payment number, as in `waitline payments`")],
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Remove a payment from the list once it is dealt with. A new report puts it back.

    Example: waitline payments acknowledge 5290134567
    """
    settings = chosen.load(data_dir=data_dir, database_url=database_url)
    try:
        flag = _with_attention(settings, lambda attention: attention.acknowledge(payment))
    except PaymentUnknown:
        raise Misconfigured(
            f"payment {payment} is not flagged; `waitline payments` lists those that are"
        ) from None
    typer.echo(f"Payment {payment}: {flag} acknowledged.")


@app.command("refund-unknown")
def refund_unknown(
    hours: Annotated[float, typer.Option(help="How many hours back", min=0.01, max=2_160)] = 24.0,
    yes: Annotated[
        bool, typer.Option("--yes", help="Refund without asking; required without a terminal")
    ] = False,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Refund charges of the provider that have no payment here, after a failover that lost them.

    Lists the charges and asks. Charges of another installation that uses the same account of the
    provider are listed, too: compare the provider's ids first. A charge that has a payment, or has
    no key of Waitline, is never refunded. Exit status 1 if any charge is left. Can be repeated.

    Example: waitline payments refund-unknown --hours 6
    """
    settings = chosen.load(data_dir=data_dir, database_url=database_url)
    settings.require_payments()
    since_ms = SystemClock().now_ms() - int(hours * 3_600_000)
    found = _with_provider(settings, partial(unknown_charges.find, since_ms=since_ms))
    if not as_json:
        _print_unknown(found, hours)
        yes = yes or _confirmed(len(found.charges))
    made: Sequence[RefundMade | None] = [None] * len(found.charges)
    if yes:
        made = _with_provider(settings, partial(_refund_all, charges=found.charges))
    if as_json:
        typer.echo(json_line(_described(found, made)))
    else:
        _print_made(found.charges, made)
    finished = all(one is not None and one.outcome is RefundOutcome.DONE for one in made)
    if found.more or not finished:
        raise typer.Exit(1)


def _confirmed(count: int) -> bool:
    if count and not sys.stdin.isatty():
        raise Misconfigured("nothing was refunded: repeat the command with --yes")
    return count > 0 and typer.confirm(f"Refund {counted(count, 'charge')}?")


def _print_made(charges: Sequence[UnknownCharge], made: Sequence[RefundMade | None]) -> None:
    for one, what in zip(charges, made, strict=True):
        if what is not None:
            why = f" ({what.reason})" if what.reason else ""
            typer.echo(f"{one.provider_ref}: {what.outcome.replace('_', ' ')}{why}")


async def _refund_all(
    database: Database, provider: Provider, charges: Sequence[UnknownCharge]
) -> list[RefundMade]:
    # One after another: providers limit the rate of calls.
    return [await unknown_charges.refund(database, provider, one) for one in charges]


def _print_unknown(found: UnknownCharges, hours: float) -> None:
    terminal = Terminal()
    count = counted(len(found.charges), "charge has", "charges have")
    more = ", and there may be more" if found.more else ""
    terminal.print(f"{count} no payment here, in the last {hours:g} h{more}")
    if found.without_key:
        terminal.print(
            f"{counted(found.without_key, 'further charge')} without a key of Waitline: not ours, "
            "never refunded here"
        )
    if not found.charges:
        return
    table = Table("provider's id", "amount", "refunded", "key", box=None)
    for one in found.charges:
        refunded = money.shown(one.refunded, one.money.currency)
        table.add_row(one.provider_ref, money.shown(*one.money), refunded, str(one.key))
    terminal.print(table)
    terminal.print(
        "Charges of another installation that uses the same account of the provider are listed "
        "here, too. Refund only if there is none, and if this is the right database."
    )


def _described(found: UnknownCharges, made: Sequence[RefundMade | None]) -> dict[str, object]:
    charges = [
        {
            "provider_ref": one.provider_ref,
            "key": str(one.key),
            **one.money._asdict(),
            "refunded": one.refunded,
            "outcome": what and what.outcome,
            "reason": what and what.reason,
        }
        for one, what in zip(found.charges, made, strict=True)
    ]
    return {"charges": charges, "without_key": found.without_key, "more": found.more}


def _with_provider(
    settings: chosen.Settings, use: Callable[[Database, Provider], Awaitable[T]]
) -> T:
    async def run() -> T:
        database = Database(settings.database_address(), "waitline.booking", connections_max=1)
        provider = open_provider(
            settings.payment_provider, *settings.payment_secrets(), settings.payment_url
        )
        try:
            return await use(database, provider)
        finally:
            await provider.close()
            await database.close()

    return asyncio.run(run())


def _with_attention(settings: chosen.Settings, use: Callable[[Attention], Awaitable[T]]) -> T:
    async def run() -> T:
        database = Database(settings.database_address(), "waitline.booking")
        try:
            return await use(Attention(database))
        finally:
            await database.close()

    return asyncio.run(run())
