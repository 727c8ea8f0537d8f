"""`waitline up`: start a whole installation on one machine and fill in addresses and secrets.

Order of start: embedded servers, database tables and demo concert, payment sandbox, services.
"""

import asyncio
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from time import monotonic
from typing import NamedTuple

from pydantic import SecretStr

from waitline import settings as chosen
from waitline.booking import demo
from waitline.booking.migrations import migrate
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal
from waitline.payment_providers.port import WEBHOOK_PATH
from waitline.postgres.pool import Database
from waitline.services.data_mode import claim_database, claim_valkey
from waitline.settings import Settings
from waitline.tokens.keyring_file import KeyringFile
from waitline.trial import demo_room
from waitline.trial.machine import free_port
from waitline.trial.postgres_server import PostgresServer
from waitline.trial.supervisor import ManagedProcess, Supervisor
from waitline.trial.valkey_cluster import Size, ValkeyCluster, embedded_line
from waitline.trial.valkey_server import ValkeyServer
from waitline.valkey.fitness import refuse_unfit

COMMAND_CONNECTIONS_MAX = 28
"""PostgreSQL connections beyond those of booking workers: for commands and ad hoc sessions."""

SECRET_BYTES = 32
"""Random bytes of a generated secret, which is valid until the installation stops."""


Step = Callable[[str], AbstractContextManager[None]]
"""Shows a step of the start while it runs."""


class _EmbeddedServers(NamedTuple):
    """The servers to start; `None` where the operator gave an address, or no server is needed."""

    valkey: ValkeyServer | ValkeyCluster | None
    postgres: PostgresServer | None


def run(
    settings: Settings,
    console: Terminal,
    on_ready: Callable[[Settings], None],
    cluster: Size | None = None,
) -> None:
    """Start everything, keep it running and stop it all on SIGINT, SIGTERM or SIGHUP.

    Args:
        settings: The operator's settings.
        console: Where restarts are reported.
        on_ready: Called once everything is ready, with the completed settings.
        cluster: Size of a cluster of embedded servers for the line; `None` for one server.

    Raises:
        Misconfigured: The payment provider lacks a setting.
        OtherMode: A store holds data of another mode.
        StartError: A server does not start, or the extra `trial` is not installed.
        CannotRun: A process does not start, or is in a crash loop.
    """
    # Every process and every printed address must have the same port.
    chosen_ports = {
        name: free_port() for name in ("queue_port", "booking_port") if getattr(settings, name) == 0
    }
    settings = settings.model_copy(
        # No other instance could take the requests, so nothing is gained by draining.
        update={"data_dir": settings.data_dir.absolute(), "drain_s": 0.0, **chosen_ports}
    )
    settings.require_https()
    if opens_box_office(settings):
        _require_two_ports(settings)
        if not starts_sandbox(settings):
            chosen.require_all(settings.require_payments, settings.require_money)
    # Before anything starts: without the extra `trial` this raises.
    servers = _embedded_servers(settings, cluster)
    chosen.prepare_data_folder(settings)
    chosen.operator_key(settings)
    KeyringFile(settings.keys_file).load_or_create(SystemClock().now_ms())
    with Supervisor(settings.data_dir, console) as supervisor:
        settings = _start(supervisor, settings, servers, partial(_step, console))
        if not supervisor.stopping:
            on_ready(settings)
        supervisor.run()


def _require_two_ports(settings: Settings) -> None:
    if settings.queue_port == settings.booking_port:
        raise Misconfigured(
            f"--queue-port and --booking-port are both {settings.queue_port}; change one"
        )


def opens_box_office(settings: Settings) -> bool:
    """Return whether the box office opens; in production mode only with a payment provider."""
    unpaid = settings.payment_provider == "none"
    paid = settings.takes_play_money or settings.payment_key is not None or unpaid
    return settings.box_office and paid


def starts_sandbox(settings: Settings) -> bool:
    """Return whether the payment provider is a sandbox that is started here."""
    own = settings.payment_provider == "sandbox" and settings.payment_url is None
    return own and settings.takes_play_money


def service_url(port: int, settings: Settings) -> str:
    """Return the address of a service for browsers on this machine."""
    # Clients cannot connect to the wildcard address, so use the loopback address.
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - for display
    shown = own.get(settings.host, settings.host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def management_url(port: int, settings: Settings) -> str:
    """Return the address of a service's metrics and API description."""
    host = settings.management_host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _embedded_servers(settings: Settings, cluster: Size | None) -> _EmbeddedServers:
    postgres = None
    valkey = None if settings.valkey_url is not None else embedded_line(settings, cluster)
    if settings.database_url is None and opens_box_office(settings):
        workers_need = settings.booking_workers * settings.database_connections
        connections_max = workers_need + COMMAND_CONNECTIONS_MAX
        folder = settings.data_dir / "postgres"
        postgres = PostgresServer(folder, connections_max=connections_max)
    return _EmbeddedServers(valkey, postgres)


@contextmanager
def _step(console: Terminal, name: str) -> Iterator[None]:
    """Show a step of the start, and how long it took: the first start takes many seconds."""
    console.print(f"{name} … ", end="", soft_wrap=True)
    started_s = monotonic()
    try:
        yield
    except BaseException:
        console.print()
        raise
    console.print(f"{monotonic() - started_s:.1f} s")


def _start(
    supervisor: Supervisor, settings: Settings, servers: _EmbeddedServers, step: Step
) -> Settings:
    """Start everything and return the settings with the addresses and secrets filled in."""
    settings = _start_servers(supervisor, settings, servers, step)
    production = settings.mode == "production"
    asyncio.run(refuse_unfit(settings.store_url(), settings.durability, production=production))
    asyncio.run(claim_valkey(settings))
    if opens_box_office(settings):
        with step("Preparing the tables"):
            asyncio.run(_prepare_database(settings))
        settings = _with_public_url(settings)
        if settings.mode == "trial":
            shop_url = f"{service_url(settings.booking_port, settings)}/shop"
            asyncio.run(demo_room.prepare(settings.store_url(), settings.new_room(), shop_url))
    for folder in (settings.metrics_dir, settings.booking_metrics_dir):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    supervisor.await_port(settings.host, settings.queue_port, "--queue-port")
    _await_management_port(supervisor, settings, settings.queue_management_port, "QUEUE")
    services = [
        ManagedProcess(
            "queue service",
            ["queue", "--until-stdin-ends"],
            _ready_url(settings.queue_port, settings),
        ),
        ManagedProcess("admitter", ["admitter", "--until-stdin-ends"]),
    ]
    providers = []
    if opens_box_office(settings):
        supervisor.await_port(settings.host, settings.booking_port, "--booking-port")
        _await_management_port(supervisor, settings, settings.booking_management_port, "BOOKING")
        ready_url = _ready_url(settings.booking_port, settings)
        arguments = ["booking", "--until-stdin-ends"]
        services.append(ManagedProcess("booking service", arguments, ready_url))
        if starts_sandbox(settings):
            settings, sandbox = _with_sandbox(settings)
            providers.append(sandbox)
    if not supervisor.stopping:
        count = len(providers) + len(services)
        with step(f"Starting {counted(count, 'process', 'processes')}"):
            supervisor.start_processes((providers, services), chosen.environment(settings))
    return settings


def _with_public_url(settings: Settings) -> Settings:
    """Return the settings with the queue service's address for browsers on this machine."""
    if settings.queue_public_url is not None or settings.mode == "production":
        return settings
    return settings.model_copy(
        update={"queue_public_url": service_url(settings.queue_port, settings)}
    )


def _await_management_port(
    supervisor: Supervisor, settings: Settings, port: int, service: str
) -> None:
    if settings.mode == "production":
        variable = f"{chosen.PREFIX}{service}_MANAGEMENT_PORT"
        supervisor.await_port(settings.management_host, port, variable)


def _start_servers(
    supervisor: Supervisor, settings: Settings, servers: _EmbeddedServers, step: Step
) -> Settings:
    addresses: dict[str, object] = {}
    if servers.valkey is not None:
        sync = servers.valkey.sync if settings.sync == "second" else None
        with step("Starting Valkey"):
            url = supervisor.start_server("Valkey", servers.valkey, "valkey.url", sync)
        addresses["valkey_url"] = SecretStr(url)
    if servers.postgres is not None:
        first = not (settings.data_dir / "postgres" / "data").exists()
        with step("Creating the database (once)" if first else "Starting PostgreSQL"):
            url = supervisor.start_server("PostgreSQL", servers.postgres, "postgres.url")
        addresses["database_url"] = SecretStr(url)
    return settings.model_copy(update=addresses)


async def _prepare_database(settings: Settings) -> None:
    """Bring the tables up to date; in trial mode, put the demo concert on sale."""
    await migrate(settings.database_address())
    await claim_database(settings)
    if settings.mode == "trial":
        database = Database(settings.database_address(), "waitline.booking")
        try:
            await demo.load_first(database)
        finally:
            await database.close()


def _with_sandbox(settings: Settings) -> tuple[Settings, ManagedProcess]:
    """Return the settings with a payment sandbox's address and secrets, and its process."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    filled_in = settings.model_copy(
        update={
            "payment_url": url,
            "payment_key": SecretStr(secrets.token_urlsafe(SECRET_BYTES)),
            "webhook_secret": SecretStr(secrets.token_urlsafe(SECRET_BYTES)),
        }
    )
    webhook_url = service_url(settings.booking_port, settings) + WEBHOOK_PATH
    ledger_file = settings.data_dir / "sandbox" / "ledger.sqlite3"
    arguments = ["sandbox-pay", "--port", str(port), "--webhook-url", webhook_url]
    arguments += ["--latency", settings.sandbox_latency]
    arguments += ["--ledger-file", str(ledger_file), "--until-stdin-ends"]
    return filled_in, ManagedProcess("payment sandbox", arguments, f"{url}/health")


def _ready_url(port: int, settings: Settings) -> str:
    return f"{service_url(port, settings)}/actuator/health/readiness"
