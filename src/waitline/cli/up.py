"""Everything on this machine: the line, the box office, and the servers that keep them."""

import asyncio
import secrets
import shutil
import socket
from urllib.parse import urlsplit

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from waitline import settings as chosen
from waitline.booking import demo
from waitline.booking.migrations import migrate
from waitline.cli import options, serve
from waitline.postgres.pool import CONNECTIONS_MAX, Database
from waitline.trial import PostgresServer, ValkeyServer
from waitline.trial.supervisor import Part, Supervisor

WEBHOOK_PATH = "/api/v1/payments/webhook"
"""Where the booking service hears from the payment provider."""

OTHERS_MAX = 28
"""Clients of PostgreSQL besides the workers of the booking service: commands, and whoever looks."""

SECRET_BYTES = 32
"""Random bytes of a secret that is made here, for as long as the installation runs."""


def up(
    queue_port: options.QueuePort = None,
    booking_port: options.BookingPort = None,
    workers: options.Workers = None,
    host: options.Host = None,
    data_dir: options.DataDir = None,
    valkey_url: options.ValkeyUrl = None,
    database_url: options.DatabaseUrl = None,
    mode: options.Mode = None,
    box_office: options.BoxOffice = None,
    until_stdin_ends: options.UntilStdinEnds = False,
) -> None:
    """Start everything on this machine and say where it runs. Ctrl-C stops it all.

    In trial mode unless told otherwise: whoever names a visitor is believed, a room appears at its
    first visitor, and a concert is on sale for play money. What was in the line and what was booked
    is still there at the next start.
    """
    settings = chosen.read(
        queue_port=queue_port,
        booking_port=booking_port,
        workers=workers,
        host=host,
        data_dir=data_dir,
        valkey_url=valkey_url,
        database_url=database_url,
        box_office=box_office,
        mode=mode or chosen.given("mode") or "trial",
    )
    settings = settings.model_copy(update={"data_dir": settings.data_dir.absolute()})
    if _sells(settings) and not _plays(settings):
        settings.require_payments()
    options.log_to_stderr()
    if until_stdin_ends:
        serve.stop_when_stdin_ends()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=False, highlight=False)
    with Supervisor(settings.data_dir, console) as supervisor:
        _start(supervisor, settings, console)
        supervisor.run()


def _sells(settings: chosen.Settings) -> bool:
    """Whether the box office opens. In production mode it does not before somebody takes money."""
    paid = settings.mode == "trial" or settings.payment_key is not None
    return settings.box_office and paid


def _plays(settings: chosen.Settings) -> bool:
    """Whether play money is taken, by a provider of our own."""
    own = settings.payment_provider == "sandbox" and settings.payment_url is None
    return own and settings.mode == "trial"


def _start(supervisor: Supervisor, settings: chosen.Settings, console: Console) -> None:
    settings = _with_servers(supervisor, settings)
    for folder in (settings.metrics_dir, settings.booking_metrics_dir):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    chosen.operator_key(settings)
    supervisor.await_port(settings.host, settings.queue_port, "--queue-port")
    services = [
        Part(
            "queue service", ["queue", "--until-stdin-ends"], _ready(settings.queue_port, settings)
        ),
        Part("admitter", ["admitter", "--until-stdin-ends"]),
    ]
    providers = []
    if _sells(settings):
        supervisor.await_port(settings.host, settings.booking_port, "--booking-port")
        ready = _ready(settings.booking_port, settings)
        services.append(Part("booking service", ["booking", "--until-stdin-ends"], ready))
        if _plays(settings):
            settings, provider = _with_sandbox(settings)
            providers.append(provider)
    if supervisor.stopping:
        return
    supervisor.start((providers, services), chosen.environment(settings))
    if not supervisor.stopping:
        _show(settings, console)


def _with_servers(supervisor: Supervisor, settings: chosen.Settings) -> chosen.Settings:
    """Start the servers that are not given, and make the tables."""
    found: dict[str, object] = {}
    if settings.valkey_url is None:
        valkey = ValkeyServer(
            settings.data_dir / "valkey",
            maxmemory_bytes=settings.valkey_memory_mb * 1024**2,
            appendfsync="always" if settings.sync == "write" else "no",
        )
        sync = valkey.sync if settings.sync == "second" else None
        found["valkey_url"] = supervisor.serve("Valkey", valkey, "valkey.url", sync)
    if _sells(settings):
        if settings.database_url is None:
            wanted = settings.booking_workers * CONNECTIONS_MAX + OTHERS_MAX
            postgres = PostgresServer(settings.data_dir / "postgres", connections_max=wanted)
            url = supervisor.serve("PostgreSQL", postgres, "postgres.url")
            found["database_url"] = SecretStr(url)
        settings = settings.model_copy(update=found)
        asyncio.run(_furnish(settings))
    return settings.model_copy(update=found)


async def _furnish(settings: chosen.Settings) -> None:
    """Make the tables; for a trial, put something on sale."""
    await migrate(settings.database_address())
    if settings.mode == "trial":
        database = Database(settings.database_address(), "waitline.booking")
        try:
            await demo.load_first(database)
        finally:
            await database.close()


def _with_sandbox(settings: chosen.Settings) -> tuple[chosen.Settings, Part]:
    """Return what runs a payment provider for play money, and what the others know it by."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    known = settings.model_copy(
        update={
            "payment_url": url,
            "payment_key": SecretStr(secrets.token_urlsafe(SECRET_BYTES)),
            "webhook_secret": SecretStr(secrets.token_urlsafe(SECRET_BYTES)),
        }
    )
    webhook = _url(settings.booking_port, settings) + WEBHOOK_PATH
    ledger = settings.data_dir / "sandbox" / "ledger"
    words = ["sandbox-pay", "--port", str(port), "--webhook-url", webhook]
    words += ["--latency", settings.sandbox_latency]
    words += ["--ledger-file", str(ledger), "--until-stdin-ends"]
    return known, Part("payment sandbox", words, f"{url}/health")


def _url(port: int, settings: chosen.Settings) -> str:
    host = settings.host
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - for display
    return f"http://{shown}:{port}"


def _ready(port: int, settings: chosen.Settings) -> str:
    return f"{_url(port, settings)}/actuator/health/readiness"


def _show(settings: chosen.Settings, console: Console) -> None:
    queue = _url(settings.queue_port, settings)
    booking = _url(settings.booking_port, settings)
    workers = _many(settings.workers, "worker")
    rows = [
        ("waiting page", f"[bold]{queue}/rooms/demo[/]"),
        ("queue service", f"{queue}  ({workers}, {settings.mode} mode)"),
        ("its calls", f"{queue}/docs"),
        ("metrics", f"{queue}/actuator/prometheus"),
        ("admitter", "letting visitors in"),
    ]
    if _sells(settings):
        workers = _many(settings.booking_workers, "worker")
        rows += [
            ("booking service", f"{booking}  ({workers}, {settings.mode} mode)"),
            ("its calls", f"{booking}/docs"),
            ("metrics", f"{booking}/actuator/prometheus"),
            ("payments", f"{settings.payment_provider}  {settings.payment_url or ''}"),
        ]
    elif settings.box_office:
        rows.append(("booking service", "closed until WAITLINE_PAYMENT_KEY is set"))
    rows.append(("Valkey", _without_secret(settings.store_url())))
    if _sells(settings):
        rows.append(("PostgreSQL", _without_secret(settings.database_address())))
    rows.append(("data", f"{settings.data_dir}  (operator key in operator.key)"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, text in rows:
        table.add_row(f"[cyan]{name}[/]", text)
    console.print("\n[bold green]Waitline is up.[/] Ctrl-C stops it.\n")
    console.print(table, soft_wrap=True)
    console.print()


def _without_secret(address: str) -> str:
    """Return as much of an address as anybody may read over a shoulder."""
    parts = urlsplit(address)
    if parts.hostname is None and parts.password is None:
        return address
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
