"""`waitline top`: rooms, calls, instances and the box office, live in the terminal."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live

from waitline import settings as chosen
from waitline.cli import options
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import json_line
from waitline.kernel.terminal import Terminal, styled
from waitline.settings import Settings
from waitline.trial.up import management_url, service_url

if TYPE_CHECKING:
    from waitline.sales.live_view.figures import LiveFigures
    from waitline.sales.live_view.sources import MetricSource

Addresses = Annotated[
    list[str] | None,
    typer.Argument(
        help="Management addresses of the services, of all instances: http://127.0.0.1:9081",
        show_default="those of the settings",
    ),
]
AskedPrometheus = Annotated[
    str | None,
    typer.Option(
        "--prometheus", help="Read from this Prometheus instead; rates are of the last minute"
    ),
]
Interval = Annotated[
    float, typer.Option(help="Seconds between two readings; pages change once a second", min=1.0)
]
Once = Annotated[bool, typer.Option("--once", help="Show one interval, and end")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document per interval")]


def top(
    addresses: Addresses = None,
    prometheus: AskedPrometheus = None,
    interval: Interval = 2.0,
    once: Once = False,
    as_json: AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Show rooms, calls, instances and the box office live, without Grafana. Ctrl-C ends it.

    Rates and percentiles are those of the interval. Where standard output is no terminal, it prints
    one interval without colours, and ends. The fields of --json are in docs/operations.md.

    Examples: waitline top; waitline top http://a:9081 http://a:9080 http://b:9081;
    waitline top --json --once
    """
    # A late import: HTTP clients take longer to import than most commands run.
    from waitline.sales.live_view import sources  # noqa: PLC0415

    source: MetricSource
    if prometheus is not None:
        if addresses:
            raise Misconfigured("--prometheus: leave out the addresses, or this option")
        source = sources.Prometheus(_checked(prometheus, "--prometheus"))
    else:
        given = [[_checked(one, "ADDRESSES")] for one in addresses or ()]
        if len(given) > sources.ADDRESSES_MAX:
            raise Misconfigured(
                f"at most {sources.ADDRESSES_MAX} addresses; for more, use --prometheus"
            )
        source = sources.Pages(given or _of_settings(chosen.load(data_dir=data_dir)))
    console = Terminal()
    lives = console.is_terminal and not once and not as_json
    with suppress(KeyboardInterrupt):
        if lives:
            asyncio.run(_show_live(source, console, interval))
        else:
            asyncio.run(_print_intervals(source, console, interval, once=once, as_json=as_json))


def _checked(address: str, name: str) -> str:
    if not address.startswith(("http://", "https://")):
        raise Misconfigured(f"{name}: {address!r} is no address; write http://HOST:PORT")
    return address.rstrip("/")


def _of_settings(settings: Settings) -> list[list[str]]:
    """Return where each service may be; in trial mode its metrics are on the public address."""
    return [
        [management_url(settings.queue_management_port, settings),
         service_url(settings.queue_port, settings)],
        [management_url(settings.booking_management_port, settings),
         service_url(settings.booking_port, settings)],
    ]  # fmt: skip


async def _print_intervals(
    source: "MetricSource", console: Terminal, interval_s: float, *, once: bool, as_json: bool
) -> None:
    from waitline.sales.live_view.screen import Screen  # noqa: PLC0415 - as above

    async for found in _intervals(source, lambda: asyncio.sleep(interval_s)):
        if as_json:
            typer.echo(json_line(found))
        else:
            console.print(Screen(found, fits=False))
        if once or not as_json:
            return


async def _show_live(source: "MetricSource", console: Terminal, interval_s: float) -> None:
    from waitline.sales.live_view.screen import Screen  # noqa: PLC0415 - as above

    loop = asyncio.get_running_loop()
    resized = asyncio.Event()
    loop.add_signal_handler(signal.SIGWINCH, resized.set)
    start = styled("Reading metrics … Ctrl-C ends the view.")
    with Live(start, console=console, screen=True, auto_refresh=False) as view:

        async def pause() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    while await resized.wait():
                        resized.clear()
                        view.refresh()

        view.refresh()
        async for found in _intervals(source, pause):
            view.update(Screen(found, fits=True), refresh=True)


async def _intervals(
    source: "MetricSource", pause: Callable[[], Awaitable[None]]
) -> "AsyncIterator[LiveFigures]":
    """Yield the figures of one interval after another."""
    import aiohttp  # noqa: PLC0415 - as above

    from waitline.sales.live_view import figures, sources  # noqa: PLC0415

    clock = SystemClock()
    timeout = aiohttp.ClientTimeout(total=sources.ANSWER_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            measured = await source.fetch_change(session)
            if measured is not None:
                at = f"{datetime.fromtimestamp(clock.now_ms() / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
                yield figures.live_figures(*measured, at)
            await pause()
