"""Bytes that bookings take in the tables and in PostgreSQL's log, for sizing disks and back-ups."""

import subprocess
from typing import NamedTuple

from waitline.kernel.errors import Unavailable
from waitline.settings import inherited
from waitline.trial.postgres_server import embedded_binaries

ASK_S = 30.0

_SIZES = """
SELECT (SELECT sum(pg_total_relation_size(oid)) FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace),
    pg_current_wal_lsn() - '0/0'
"""


class StoredBytes(NamedTuple):
    """Bytes of a database.

    Attributes:
        tables: Of all tables with their indexes.
        log: Of the write-ahead log since the database was created.
    """

    tables: int
    log: int


def stored(url: str) -> StoredBytes:
    """Return how many bytes a database takes now.

    Raises:
        Unavailable: It does not answer.
    """
    psql = [str(embedded_binaries() / "psql"), url, "-XAtF", " ", "-c", _SIZES]
    done = subprocess.run(  # noqa: S603 - our own binary
        psql, env=inherited(), capture_output=True, text=True, check=False, timeout=ASK_S
    )
    if done.returncode != 0:
        raise Unavailable(f"the database does not answer: {done.stderr.strip()}")
    tables, log = done.stdout.split()
    return StoredBytes(int(tables), int(log))
