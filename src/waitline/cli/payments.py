"""`waitline payments`: payments that need an operator's attention."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from waitline import settings as chosen
from waitline.booking import currency as money
from waitline.booking.attention import Attention
from waitline.booking.model import PaymentUnknown
from waitline.cli import options
from waitline.kernel.errors import Misconfigured
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal
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
        typer.echo(json.dumps({"count": count, "payments": rows}))
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


def _with_attention(settings: chosen.Settings, use: Callable[[Attention], Awaitable[T]]) -> T:
    async def run() -> T:
        database = Database(settings.database_address(), "waitline.booking")
        try:
            return await use(Attention(database))
        finally:
            await database.close()

    return asyncio.run(run())
