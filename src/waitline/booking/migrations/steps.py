"""Migration runner: applies the pending steps with Alembic."""

from importlib.resources import files

import asyncpg
from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only

from waitline.kernel.addresses import shown_address
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.kernel.folders import reason_of
from waitline.postgres.hosts import each_host

CONNECT_S = 5.0
"""Timeout of connecting to the database."""

LOCK_S = 10.0
"""Lock timeout of a step. Later statements on the table queue up behind the waiting step, so a sale
stops for this long at worst."""

STATEMENT_S = 300.0
"""Statement timeout of a step: filling a new column of a big table takes minutes."""

_LOCK = 0x77616974
"""Advisory lock for the migration. Of concurrent migrations one runs, and the others then find
nothing pending. The number is arbitrary, but no other lock of this database may have it."""


async def applied(url: str) -> list[str]:
    """See `migrate`."""

    async def connect() -> asyncpg.Connection:
        # Of several hosts, choose the primary. A single standby reports itself.
        wanted = "read-write" if len(each_host(url)) > 1 else "any"
        return await asyncpg.connect(url, timeout=CONNECT_S, target_session_attrs=wanted)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(_upgraded)
    except (
        DBAPIError, asyncpg.PostgresError, asyncpg.InternalClientError, OSError, TimeoutError,
    ) as error:  # fmt: skip
        # SQLAlchemy wraps the driver's error, except for calls that go straight to the driver.
        cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else error
        raise _refusal(cause or error, url) from None
    finally:
        await engine.dispose()


def _refusal(error: BaseException, url: str) -> BaseException:
    """Translate the driver's error for an operator; a bug is returned unchanged."""
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError() | asyncpg.InvalidCatalogNameError():
            return Misconfigured(f"the database refuses the connection: {error}")
        case asyncpg.InsufficientPrivilegeError():
            return Misconfigured(
                f"the database's user may not migrate ({error}): give it CREATE on the schema and "
                "the tables, or run `waitline migrate` with a --database-url of their owner"
            )
        case asyncpg.ReadOnlySQLTransactionError() | asyncpg.TargetServerAttributeNotMatched():
            return Unavailable(f"the database is read-only, perhaps a standby: {error}")
        case asyncpg.LockNotAvailableError() | asyncpg.QueryCanceledError():
            return Unavailable(f"the tables are locked, nothing was changed: {error}")
        case (
            OSError()
            | TimeoutError()
            | asyncpg.PostgresConnectionError()
            | asyncpg.OperatorInterventionError()
            | asyncpg.InsufficientResourcesError()
        ):
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            return Unavailable(
                f"the database does not answer at {shown_address(url)}: {reason or 'not in time'}"
            )
        case _:
            return error


def _upgraded(connection: Connection) -> list[str]:
    # For the transaction: a pooler refuses settings of the session.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_S * 1000:.0f}")
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {STATEMENT_S * 1000:.0f}")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    config = Config()
    config.set_main_option("script_location", str(files("waitline.booking") / "migrations"))
    config.attributes["connection"] = connection
    known = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()][::-1]
    before = MigrationContext.configure(connection).get_current_revision()
    if before is not None and before not in known:
        raise Misconfigured(
            f"the database is at step {before}, which this version of waitline does not know: "
            "install the newer version that applied it"
        )
    command.upgrade(config, "head")
    return known[known.index(before) + 1 :] if before else known


def run_file(name: str) -> None:
    """Run one SQL file of this folder, for the step that names it."""
    text = (files("waitline.booking") / "migrations" / name).read_text("utf-8")
    driver = op.get_bind().connection.dbapi_connection.driver_connection  # type: ignore[union-attr]
    # Only the driver itself accepts several statements in one text.
    await_only(driver.execute(text))
