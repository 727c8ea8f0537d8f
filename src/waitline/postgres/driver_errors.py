"""Exceptions of the PostgreSQL driver, translated into those of `kernel/errors.py`."""

from typing import NamedTuple

import asyncpg

from waitline.kernel.addresses import shown_address
from waitline.kernel.errors import Contended, NeedsOperator, Unavailable
from waitline.kernel.folders import reason_of
from waitline.postgres.sqlstates import Cause, cause_of

_LOST = Cause(reconnect=True)


class Duplicate(Exception):  # noqa: N818 - reads as the outcome it is
    """A unique constraint rejected a row; nothing was written. The message identifies the row."""


class Translation(NamedTuple):
    """What to raise for an exception, and whether its connection can no longer be used."""

    raises: Exception
    reconnect: bool


_NO_TLS = "rejected SSL upgrade"
"""Part of the driver's message when a server without TLS is asked for it."""

_NEEDS_TLS = ("SSL required", "no encryption")
"""Parts of the messages of a pooler and of a server that demand TLS."""

# Our own, and our wrong arguments, which the driver raises as interface errors.
_AS_IT_IS = (Unavailable, asyncpg.DataError, asyncpg.exceptions.ClientConfigurationError)

# Of the connection, and of a driver that could not parse what it received.
_CONNECTION = (OSError, EOFError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def translate(error: Exception, url: str | None, *, closed: bool = False) -> Translation:
    """Translate an exception of the driver.

    Args:
        error: What the driver raised.
        url: Address of the database; the message names it without its password. `None` where the
            caller names it.
        closed: Whether it has closed the connection: it could not parse a reply.
    """
    if isinstance(error, asyncpg.UniqueViolationError):
        return Translation(Duplicate(error.detail or str(error)), reconnect=False)
    _hide_values(error)
    if isinstance(error, _AS_IT_IS):
        return Translation(error, reconnect=False)
    cause = _cause_of(error, closed=closed)
    return Translation(_as_ours(error, cause, url), cause.reconnect)


def _hide_values(error: Exception) -> None:
    """Remove the values of rows and arguments from a message: the log must not name visitors."""
    if isinstance(error, asyncpg.PostgresError):
        error.detail = None
    if isinstance(error, asyncpg.DataError) and error.args:
        error.args = (str(error.args[0]).partition(": ")[0],)


def _cause_of(error: Exception, *, closed: bool) -> Cause:
    if isinstance(error, asyncpg.PostgresError):
        return cause_of(error.sqlstate or "")
    if isinstance(error, TimeoutError):
        return Cause()
    return _LOST if closed or isinstance(error, _CONNECTION) else Cause(ours=True)


def _as_ours(error: Exception, cause: Cause, url: str | None) -> Exception:
    text = reason_of(error) if isinstance(error, OSError) else str(error)
    text = text or type(error).__name__
    if isinstance(error, ConnectionError) and _NO_TLS in text:
        return NeedsOperator(
            "the database has no TLS, which sslmode in --database-url or WAITLINE_DATABASE_URL "
            "demands: leave sslmode out, or set ssl = on in postgresql.conf"
        )
    if any(words in text for words in _NEEDS_TLS):
        return NeedsOperator(
            f"the database demands TLS ({text}): add sslmode=require to --database-url or "
            "WAITLINE_DATABASE_URL"
        )
    if cause.ours:
        return error
    if cause.contended:
        return Contended(f"concurrent change of the same rows: {text}")
    if cause.remedy:
        return NeedsOperator(f"the database refuses: {text}; {cause.remedy}")
    where = "" if url is None else f" at {shown_address(url)}"
    return Unavailable(f"the database does not answer{where}: {text}")
