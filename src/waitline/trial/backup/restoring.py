"""Restore a back-up into an empty data folder, and make the line and the box office agree."""

import asyncio
import shutil
from pathlib import Path

from waitline.booking.restored import make_agree
from waitline.kernel.errors import Misconfigured
from waitline.postgres.pool import Database
from waitline.trial.backup import database_copy, line_copy
from waitline.trial.backup.folder import Backup
from waitline.trial.valkey_server import ValkeyServer, embedded_binary

LOAD_S = 600.0
"""Timeout of loading the line, in s: some 4 s per million visitors."""

RESENT_S = 60
"""Payment events of this long before the point in time are sent again, in s. The stores' clocks and
logs differ by about a second; an event that is sent twice does nothing the second time."""


def restore(backup: Backup, at_s: int, data_dir: Path) -> int:
    """Restore both stores to the end of the same second.

    Everything is done in a folder beside it, which gets its name at the end.

    Args:
        backup: The back-up.
        at_s: The second, in s since the epoch.
        data_dir: Data folder of the new installation.

    Returns:
        How many payment events will be sent again.

    Raises:
        Misconfigured: The folder is not empty.
        WaitlineError: A store cannot be restored.
    """
    data_dir = data_dir.absolute()
    if data_dir.exists() and any(data_dir.iterdir()):
        raise Misconfigured(
            f"--data-dir: {data_dir} is not empty; restore into a new folder, and then start that"
        )
    draft = data_dir.with_name(f"{data_dir.name}.restoring")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    try:
        resent = _restore(backup, at_s, draft)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    if data_dir.exists():
        data_dir.rmdir()
    draft.rename(data_dir)
    return resent


def _restore(backup: Backup, at_s: int, folder: Path) -> int:
    binary = embedded_binary()
    line_copy.restore(backup.line, folder / "valkey" / "appendonlydir", at_s, binary)
    server = ValkeyServer(folder / "valkey")
    # It shows now, not at the next start, that the log can be loaded.
    server.start(LOAD_S)
    server.stop()
    shutil.copytree(backup.folder / "keys", folder / "keys")
    if (backup.folder / "operator.key").exists():
        shutil.copy2(backup.folder / "operator.key", folder / "operator.key")
    if not backup.box_office:
        return 0
    database = database_copy.restored(backup.postgres, folder / "postgres", at_s)
    try:
        return asyncio.run(_resend(database.url, at_s - RESENT_S))
    finally:
        database.stop()


async def _resend(url: str, since_s: int) -> int:
    database = Database(url, "waitline.booking", connections_max=1)
    try:
        return await make_agree(database, since_s * 1000)
    finally:
        await database.close()
