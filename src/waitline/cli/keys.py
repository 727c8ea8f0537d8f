"""`waitline keys`: list, rotate and revoke the keys that sign tickets and passes."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from waitline import settings as chosen
from waitline.cli import options
from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import json_line
from waitline.kernel.terminal import Terminal
from waitline.tokens.keyring import KeyInUse, Keyring, KeyUnknown
from waitline.tokens.keyring_file import KeyringFile

app = typer.Typer(
    help="Create, list, rotate and revoke the keys that sign tickets and passes.",
    no_args_is_help=True,
)


@app.command("create")
def create(data_dir: options.DataDir = None, as_json: options.AsJson = False) -> None:
    """Create the file of the signing keys, to copy to every instance. Keeps one that exists.

    A service that finds none at its start makes its own: instances with different keys refuse each
    other's visitors.
    """
    settings = chosen.load(data_dir=data_dir)
    file = KeyringFile(settings.keys_file)
    _print(file.load_or_create(SystemClock().now_ms()), as_json=as_json)
    Terminal(stderr=True).print(f"The keys: {file.path}")


@app.command("rotate")
def rotate(data_dir: options.DataDir = None, as_json: options.AsJson = False) -> None:
    """Add a signing key. Tickets and passes signed with older keys stay valid for 400 days.

    The new key starts signing after five seconds. Running services reload the file every second, so
    all of them can verify it by then. No restart is needed.
    """
    settings = chosen.load(data_dir=data_dir)
    _print(KeyringFile(settings.keys_file).rotate(SystemClock().now_ms()), as_json=as_json)


@app.command("revoke")
def revoke(
    kid: Annotated[str, typer.Argument(help="Key id, as in `keys list`")],
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Remove a superseded key at once, for example after a leak. Rotate first.

    Tickets and passes signed with it become invalid: visitors who hold one must enter again, and
    their reservations can only be cancelled and refunded by an operator.
    """
    settings = chosen.load(data_dir=data_dir)
    try:
        ring = KeyringFile(settings.keys_file).revoke(kid, SystemClock().now_ms())
    except KeyUnknown:
        raise Misconfigured(
            f"KID: there is no key {kid!r}; `waitline keys list` lists the keys"
        ) from None
    except KeyInUse:
        raise Misconfigured(
            f"KID: key {kid} still signs; run `waitline keys rotate`, and revoke it 5 s later"
        ) from None
    _print(ring, as_json=as_json)


@app.command("list")
def list_keys(data_dir: options.DataDir = None, as_json: options.AsJson = False) -> None:
    """List the keys without their secrets."""
    settings = chosen.load(data_dir=data_dir)
    _print(KeyringFile(settings.keys_file).load(), as_json=as_json)


def _print(ring: Keyring, *, as_json: bool) -> None:
    now_ms = SystemClock().now_ms()
    signing = ring.signing(now_ms).kid
    rows = [
        {
            "kid": key.kid,
            "activeFrom": datetime.fromtimestamp(key.active_from_ms / 1000, UTC).isoformat(),
            "use": "signs"
            if key.kid == signing
            else ("verifies" if key.active_from_ms <= now_ms else "will sign"),
        }
        for key in ring.keys
    ]
    if as_json:
        typer.echo(json_line(rows))
        return
    table = Table("kid", "active from", "use", box=None)
    for row in rows:
        table.add_row(*row.values())
    Terminal().print(table)
