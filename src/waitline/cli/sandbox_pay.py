"""`waitline sandbox-pay`: run the payment sandbox, for trials and tests."""

from pathlib import Path
from random import SystemRandom
from typing import Annotated

import typer
import uvicorn

from waitline import settings as chosen
from waitline.cli import options
from waitline.http.server import UVICORN_OPTIONS
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured
from waitline.kernel.process import log_to_stderr, stop_when_stdin_ends
from waitline.payment_providers.sandbox.behaviour import Effect, SandboxBehaviour
from waitline.payment_providers.sandbox.ledger import Ledger

DRAIN_S = 2
"""Graceful shutdown: time for charges in progress to complete, in s."""


def sandbox_pay(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on")] = 8082,
    webhook_url: Annotated[
        str | None,
        typer.Option(
            help="Webhook of the booking service: http://HOST:8080/api/v1/payments/webhook"
        ),
    ] = None,
    latency: Annotated[
        str,
        typer.Option(help="Latency of a charge, in s: a number, or a range such as 0.5..1"),
    ] = "0.5..1",
    share: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Share of charges with a fault, such as DECLINE=0.02; repeatable. Faults: "
            f"{', '.join(Effect)}",
            show_default=False,
        ),
    ] = None,
    late_s: Annotated[float, typer.Option(help="Delay of a late webhook, in s", min=0)] = 30.0,
    ledger_file: Annotated[
        Path | None,
        typer.Option(help="SQLite file that keeps charges across restarts; in memory if omitted"),
    ] = None,
    log_level: options.LogLevel = None,
    log_format: options.LogFormat = None,
    until_stdin_ends: options.UntilStdinEnds = False,
) -> None:
    """Run the payment sandbox: a payment provider that moves no money, with fault injection.

    It shares two secrets with the booking service, set in the environment: WAITLINE_PAYMENT_KEY
    and WAITLINE_WEBHOOK_SECRET. A payment method named after faults, for example DECLINE or
    TIMEOUT+LATE_WEBHOOK, gets exactly those faults.
    """
    # Here, so that other commands do not import an HTTP server and client.
    from waitline.payment_providers.sandbox.server import SandboxServer, WebhookSender  # noqa: PLC0415

    settings = chosen.load(log_level=log_level, log_format=log_format)
    log_to_stderr(settings.log_level, settings.log_format)
    key, webhook_secret = _secrets(settings)
    behaviour = SandboxBehaviour(_latency(latency), _shares(share or []), late_s)
    chosen.log_ignored_variables()
    if until_stdin_ends:
        stop_when_stdin_ends()
    if ledger_file is not None:
        ledger_file.parent.mkdir(parents=True, exist_ok=True)
    server = SandboxServer(
        Ledger(ledger_file),
        behaviour,
        WebhookSender(webhook_url, webhook_secret, SystemClock()),
        key=key,
        rng=SystemRandom(),
    )
    uvicorn.run(
        server.app(), host=host, port=port, timeout_graceful_shutdown=DRAIN_S, **UVICORN_OPTIONS
    )


def _secrets(settings: chosen.Settings) -> tuple[str, str]:
    if settings.payment_key is None or settings.webhook_secret is None:
        raise Misconfigured(
            "the sandbox shares two secrets with the booking service: set WAITLINE_PAYMENT_KEY and "
            "WAITLINE_WEBHOOK_SECRET"
        )
    return settings.payment_key.get_secret_value(), settings.webhook_secret.get_secret_value()


def _latency(text: str) -> tuple[float, float]:
    low, _, high = text.partition("..")
    try:
        least, most = float(low), float(high or low)
    except ValueError:
        least, most = 1.0, 0.0
    if not 0 <= least <= most:
        raise Misconfigured(f"--latency {text}: must be seconds, for example 0.5..1 or 0")
    return least, most


def _shares(texts: list[str]) -> dict[Effect, float]:
    shares = {}
    for text in texts:
        name, _, share = text.partition("=")
        try:
            effect, value = Effect(name), float(share)
        except ValueError:
            raise Misconfigured(
                f"--share {text}: must be FAULT=SHARE, for example DECLINE=0.02"
            ) from None
        if not 0 <= value <= 1:
            raise Misconfigured(f"--share {text}: the share must be 0 to 1")
        shares[effect] = value
    return shares
