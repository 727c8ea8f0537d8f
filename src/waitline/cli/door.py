"""`waitline door list`, `verify`: the list that door staff check tickets with."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from waitline import settings as chosen
from waitline.booking.catalogue_model import ScheduleUnknown
from waitline.booking.door_list import DoorList, DoorLists
from waitline.cli import options
from waitline.cli.catalogue_store import ScheduleNumber, write_file
from waitline.kernel.documents import parse_json
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import json_line, visible
from waitline.kernel.folders import reason_of
from waitline.kernel.instants import Instant
from waitline.kernel.plurals import counted
from waitline.postgres.pool import Database
from waitline.tokens.door import ListFault, public_keys, verify_file
from waitline.tokens.encoding import from_base64url
from waitline.tokens.keyring_file import KeyringFile

FILE_BYTES_MAX = 128 * 1024 * 1024
"""Largest list that is verified: a stadium's page takes 40 MB."""

app = typer.Typer(
    help="Make the list that door staff check tickets with, and verify that it is unaltered.",
    no_args_is_help=True,
)


@app.command("list")
def make_list(
    schedule: ScheduleNumber,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write: NAME.csv, or NAME.html to print. Default: CSV to stdout"),
    ] = None,
    language: Annotated[
        Literal["en", "ko"] | None, typer.Option(help="Language of the page to print")
    ] = None,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """List every ticket of a performance: seat, code, name, booking number. Signed.

    Buyers see the same code with their booking. The list works without a network; bookings and
    cancellations after it was made are not on it, so make it shortly before the doors open.

    Example: waitline door list 5 --out door-5.html
    """
    # A late import: templates take longer to import than most commands run.
    from waitline.services.booking.door_files import signed_list  # noqa: PLC0415

    form = _format(out)
    settings = chosen.load(data_dir=data_dir, database_url=database_url)
    keys = KeyringFile(settings.keys_file)

    async def fetch() -> DoorList:
        database = Database(settings.database_address(), "waitline.booking", connections_max=1)
        try:
            return await DoorLists(database, keys.load).fetch(schedule)
        finally:
            await database.close()

    try:
        listed = asyncio.run(fetch())
    except ScheduleUnknown:
        raise Misconfigured("schedule not found; `waitline concerts list` lists them") from None
    content = signed_list(keys.load(), listed, form, language or settings.language)
    write_file(out, content, counted(len(listed.tickets), "ticket"))


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="Door list, as it was written")],
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            help="Public keys, where the installation's key file is not: what its "
            "/.well-known/jwks.json answers",
        ),
    ] = None,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Verify that a door list is as it was made. Needs no store and no network.

    Exit status 1 if it was altered. A file that a spreadsheet has saved again counts as altered:
    keep the original.

    Example: waitline door verify door-5.csv
    """
    content = _read(file, FILE_BYTES_MAX)
    if keys is None:
        settings = chosen.load(data_dir=data_dir)
        known = public_keys(KeyringFile(settings.keys_file).load())
    else:
        known = _jwks(keys)
    found = verify_file(known, content)
    if isinstance(found, ListFault):
        typer.secho(f"waitline: {visible(str(file))}: {found}", err=True, fg="red")
        raise typer.Exit(1)
    made = Instant(found.made_ms, 0).iso
    if as_json:
        shown = {"scheduleId": found.schedule, "tickets": found.tickets, "madeAt": made}
        typer.echo(json_line({**shown, "kid": found.kid}))
        return
    typer.echo(
        f"Genuine: schedule {found.schedule}, {counted(found.tickets, 'ticket')}, made at {made}."
    )


def _format(out: Path | None) -> Literal["csv", "html"]:
    match "csv" if out is None else out.suffix.lower().removeprefix("."):
        case "csv":
            return "csv"
        case "html":
            return "html"
        case _:
            raise Misconfigured(f"--out: {out} must end in .csv or .html")


def _read(file: Path, bytes_max: int) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(bytes_max + 1)
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {reason_of(error)}") from None
    if len(content) > bytes_max:
        raise Misconfigured(f"{file} is larger than {counted(bytes_max, 'byte')}")
    return content


def _jwks(file: Path) -> dict[str, Ed25519PublicKey]:
    try:
        found = parse_json(_read(file, 1024 * 1024), dict[str, Any])
        return {
            key["kid"]: Ed25519PublicKey.from_public_bytes(from_base64url(key["x"].encode()))
            for key in found["keys"]
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Misconfigured(
            f"--keys: {file} is no key set; save what /.well-known/jwks.json answers"
        ) from None
