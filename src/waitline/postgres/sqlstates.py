"""Errors of PostgreSQL or a pooler: our bug or the server's state, and whether to reconnect.

An error that is not about our statement says something about the server, a pooler, or our access to
it: `Unavailable`. So the table lists our own; an unknown state counts as the server's.
"""

from types import MappingProxyType
from typing import Final, NamedTuple


class Cause(NamedTuple):
    """What an error means.

    Attributes:
        ours: Whether it is about our statement: a bug here.
        reconnect: Whether the connection can no longer be used.
        remedy: What an operator has to do; empty if nothing.
        contended: Whether other transactions were in the way; nothing was changed.
    """

    ours: bool = False
    reconnect: bool = False
    remedy: str = ""
    contended: bool = False


_OURS: Final = Cause(ours=True)
_THEIRS: Final = Cause()
_CONTENDED: Final = Cause(contended=True)
_GONE: Final = Cause(reconnect=True)
_ACCESS: Final = Cause(
    reconnect=True, remedy="check WAITLINE_DATABASE_URL and the user's right to log in"
)
_TABLES: Final = Cause(remedy="the tables are out of date: run `waitline migrate`")

CLASSES: Final = MappingProxyType(
    {
        # About the statement.
        "0A": _OURS,  # feature not supported
        "21": _OURS,  # cardinality violation
        "22": _OURS,  # data exception
        "23": _OURS,  # integrity constraint violation
        "42": _OURS,  # syntax error or access rule violation
        "44": _OURS,  # WITH CHECK OPTION violation
        "54": _OURS,  # program limit exceeded
        "P0": _OURS,  # PL/pgSQL error
        # About the server.
        "40": _THEIRS,  # transaction rollback: serialization failure, deadlock
        "53": _THEIRS,  # insufficient resources: disk full, out of memory, too many connections
        "55": _THEIRS,  # object not in prerequisite state: lock not available, recovery in progress
        "58": _THEIRS,  # system error: I/O
        # About the connection.
        "08": _GONE,  # connection exception; PgBouncer uses 08P01 for all refusals
        "25": _GONE,  # invalid transaction state: a read-only server, a reused connection
        "26": _GONE,  # invalid statement name: prepared on another connection of a pooler
        "34": _GONE,  # invalid cursor name
        "57": _GONE,  # operator intervention: shutdown, crash, starting up
        "XX": _GONE,  # internal error, data corrupted
        "28": _ACCESS,  # invalid authorization
        "3D": _ACCESS,  # invalid catalog name: no such database
    }
)
"""Causes by class, the first two characters of the state. Source: PostgreSQL's manual, A."""

STATES: Final = MappingProxyType(
    {
        # A concurrent transaction has locked or deleted a row; a retry sees that.
        "23503": _CONTENDED,  # foreign key violation
        "40001": _CONTENDED,  # serialization failure
        "40P01": _CONTENDED,  # deadlock detected
        "55P03": _CONTENDED,  # lock not available
        "57014": _THEIRS,  # query canceled: a timeout, the connection is good
        "40002": _OURS,  # integrity constraint violated at the end of the transaction
        "53300": _GONE,  # too many connections
        "42P05": _GONE,  # statement prepared by another client of a pooler
        "0A000": _GONE,  # a cached plan that no longer fits: the tables were migrated
        "42501": Cause(remedy="grant the right to the user of WAITLINE_DATABASE_URL"),
        "42P01": _TABLES,  # undefined table
        "42703": _TABLES,  # undefined column
        "42704": _TABLES,  # undefined object
        "3F000": _TABLES,  # invalid schema name
    }
)
"""States that differ from their class."""

STARTUP_REFUSED: Final = "unsupported startup parameter"
"""Part of PgBouncer's refusal (08P01) of session settings at the start of a connection."""


def cause_of(state: str) -> Cause:
    """Return what an error with this SQLSTATE means."""
    return STATES.get(state) or CLASSES.get(state[:2], _THEIRS)
