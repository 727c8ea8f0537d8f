"""`waitline backup` and `waitline restore`: both stores of an installation, to a point in time."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waitline import settings as chosen
from waitline.cli import options
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import json_line
from waitline.kernel.instants import EXAMPLE, parse_instant
from waitline.kernel.plurals import counted
from waitline.kernel.terminal import Terminal
from waitline.trial.backup.folder import Backup, iso
from waitline.trial.backup.folder import chosen as chosen_backup

if TYPE_CHECKING:
    from collections.abc import Callable

Folder = Annotated[Path, typer.Argument(help="Folder of back-ups; each run adds one")]


def backup(
    folder: Folder,
    once: Annotated[
        bool, typer.Option("--once", help="End when the stores are copied, and do not follow them")
    ] = False,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Back up a running `waitline up` until Ctrl-C, to restore to any second since it began.

    Both stores are copied, and then what they log, every two seconds. FOLDER should be on another
    disk. It also gets the keys, so keep it as secret as the data folder. If a run ends, the next
    one begins a new back-up: let your service manager restart it. Delete the runs that you no
    longer need.

    Not in it: the charges of the payment provider (or sandbox), metrics and logs. Your own servers
    have tools of their own: docs/operations.md.

    Example: waitline backup /mnt/backups
    """
    # A late import: the box office takes longer to import than most commands run.
    from waitline.trial.backup.taking import take  # noqa: PLC0415

    settings = chosen.load(data_dir=data_dir)
    options.prepare_out(folder, "FOLDER")
    terminal = Terminal(stderr=True)

    async def run() -> Backup:
        stopping = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        return await take(settings, folder, stopping, _shown_once(terminal, once), once=once)

    made = asyncio.run(run())
    if as_json:
        typer.echo(json_line({"folder": str(made.folder), **_span(made)}))
    else:
        typer.echo(f"{made.folder}: can be restored {_period(made)}")


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder of back-ups, or one of them")],
    to: Annotated[
        str | None,
        typer.Option(
            help=f"Point in time, ISO 8601 with a UTC offset: {EXAMPLE}; default: the latest",
            show_default=False,
        ),
    ] = None,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Restore a back-up into an empty data folder: the line and the box office to the same second.

    Everything up to the end of that second is restored. Visitors who joined later must enter again.
    Payments made later are unknown here, and the provider still has their charges: the next
    commands, which are printed, find and refund them.

    Example: waitline restore /mnt/backups --to 2027-03-15T20:05:00+09:00 --data-dir restored
    """
    # A late import, as above.
    from waitline.trial.backup import restoring  # noqa: PLC0415

    settings = chosen.load(data_dir=data_dir)
    found, at_s = chosen_backup(folder, None if to is None else _second(to))
    resent = restoring.restore(found, at_s, settings.data_dir)
    if as_json:
        document = {"restoredTo": iso(at_s), "backup": str(found.folder), "eventsResent": resent}
        typer.echo(json_line(document))
        return
    where = f"--data-dir {settings.data_dir}"
    terminal = Terminal()
    terminal.print(f"Restored to {iso(at_s)}, from {found.folder}.", soft_wrap=True)
    if found.box_office:
        terminal.print(f"{counted(resent, 'payment event')} will be sent again.")
    terminal.print("Not restored: what happened later, and charges at the payment provider. Next:")
    for command in (
        f"waitline up {where}",
        f"waitline audit --booking {where}",
        f"waitline audit --provider {where}          # charges later than that time",
        f"waitline payments refund-unknown {where}   # refunds them, after asking",
    ):
        terminal.print(f"  {command}", soft_wrap=True)


def _shown_once(terminal: Terminal, once: bool) -> "Callable[[Backup], None]":  # noqa: FBT001
    """Return what says, after the first round, that the back-up continues."""
    said = once

    def show(made: Backup) -> None:
        nonlocal said
        if not said:
            text = f"Backing up to {made.folder} from {iso(made.span.first_s)} on. Ctrl-C ends it."
            terminal.print(text, soft_wrap=True)
            said = True

    return show


def _span(made: Backup) -> dict[str, str]:
    return {"first": iso(made.span.first_s), "last": iso(made.span.last_s)}


def _period(made: Backup) -> str:
    first, last = _span(made).values()
    return f"to {first}" if first == last else f"to any second from {first} to {last}"


def _second(text: str) -> int:
    try:
        return parse_instant(text).at_ms // 1000
    except ValueError as error:
        raise Misconfigured(f"--to: {text[:40]!r} {error}") from None
