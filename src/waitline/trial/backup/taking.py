"""Take a back-up of a running installation: copy both stores, then follow their logs."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from waitline.kernel.clock import SystemClock
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.settings import Settings
from waitline.trial.backup.database_copy import DatabaseCopy
from waitline.trial.backup.folder import Backup, BackupEnded, Span, describe, new_folder
from waitline.trial.backup.line_copy import LineCopy
from waitline.trial.valkey_cluster import CLUSTER_FOLDER
from waitline.valkey.client import OPERATOR_TIMEOUT_S, ValkeyClient

ROUND_S = 2.0
"""Seconds between two rounds, and so about the most that is lost with the machine."""

GUIDE = "docs/operations.md, “Back-up and restore”"


async def take(
    settings: Settings,
    parent: Path,
    stopping: asyncio.Event,
    on_round: Callable[[Backup], None],
    *,
    once: bool,
) -> Backup:
    """Back up an installation of `waitline up` until stopped.

    Args:
        settings: The installation's settings.
        parent: Folder in which the back-up's own folder is created.
        stopping: Ends the back-up, when set, after one more round.
        on_round: Called after each round with what can be restored.
        once: Whether to end after the first round.

    Returns:
        The back-up.

    Raises:
        Misconfigured: There is no such installation, or it has servers of its own.
        BackupEnded: The back-up cannot continue.
    """
    _require_embedded(settings)
    store = ValkeyClient(settings.store_url(), timeout_s=OPERATOR_TIMEOUT_S)
    folder: Path | None = None
    line = database = None
    try:
        run = await _run_id(store)
        folder = new_folder(parent, _now_s())
        line = LineCopy(settings.data_dir / "valkey" / "appendonlydir", folder / "line")
        if (settings.data_dir / "postgres.url").exists():
            database = DatabaseCopy(settings.database_address(), folder / "postgres")
            await database.begin()
        line.begin()
        backup = Backup(folder, Span(_now_s(), _now_s()), database is not None)
        last = False
        while not last:
            last = once or stopping.is_set()
            backup = await _round(backup, line, database)
            if await _run_id(store) != run:
                raise BackupEnded("Valkey was restarted")
            _copy_secrets(settings, folder)
            describe(backup)
            on_round(backup)
            if not last:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), ROUND_S)
        return backup
    finally:
        if line is not None:
            line.close()
        if database is not None:
            await database.close()
        await store.close()


async def _round(backup: Backup, line: LineCopy, database: DatabaseCopy | None) -> Backup:
    """Copy what both have logged; return until when both copies are complete."""
    reached_s = _now_s()
    # Both logs must go beyond the first second that can be restored.
    while reached_s - 1 < backup.span.first_s:
        await asyncio.sleep(0.1)
        reached_s = _now_s()
    if database is not None:
        await database.mark()
    line.copy()
    return backup._replace(span=Span(backup.span.first_s, reached_s - 1))


def _require_embedded(settings: Settings) -> None:
    if settings.valkey_url is not None or settings.database_url is not None:
        raise Misconfigured(
            "this backs up the servers that `waitline up` starts; back up your own servers "
            f"(--valkey-url, --database-url) with their tools: {GUIDE}"
        )
    if (settings.data_dir / CLUSTER_FOLDER).is_dir():
        raise Misconfigured(
            f"the line in {settings.data_dir} is in a cluster, which this cannot back up: {GUIDE}"
        )


async def _run_id(store: ValkeyClient) -> str:
    try:
        (info,) = (await store.each("INFO", "server")).values()
    except Unavailable as error:
        raise BackupEnded(str(error)) from None
    return next(line for line in str(info).splitlines() if line.startswith("run_id:"))


def _copy_secrets(settings: Settings, folder: Path) -> None:
    """Copy the keys, without which no ticket would be valid after a restore, if they changed."""
    for source, name in (
        (settings.keys_file, f"keys/{settings.keys_file.name}"),
        (settings.data_dir / "operator.key", "operator.key"),
    ):
        copy = folder / name
        if not source.exists() or (copy.exists() and copy.read_bytes() == source.read_bytes()):
            continue
        copy.parent.mkdir(mode=0o700, exist_ok=True)
        draft = copy.with_name(f".{copy.name}")
        draft.touch(mode=0o600)
        draft.write_bytes(source.read_bytes())
        draft.replace(copy)


def _now_s() -> int:
    return SystemClock().now_ms() // 1000
