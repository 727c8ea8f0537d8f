"""Schema check: whether the box office's tables match this version."""

from importlib.resources import files

import structlog

from waitline.kernel.errors import Misconfigured
from waitline.postgres.pool import Database

log = structlog.get_logger()


def latest_step() -> str:
    """Return the name of the last migration that this version has."""
    folder = files("waitline.booking") / "migrations"
    return max(file.name[:4] for file in folder.iterdir() if file.name.endswith(".sql"))


async def require_tables(database: Database) -> None:
    """Check that the tables are those of this version, or newer ones that serve it too.

    Migrations run while the previous version serves, and it may be started again afterwards. The
    tables say which version is the oldest that they serve (decision 0042).

    Raises:
        Misconfigured: The tables are missing, out of date, or too new for this version.
        Unavailable: The database does not answer.
    """
    found = await database.fetch_one("has_tables")
    row = await database.fetch_one("schema_step") if found and found["found"] else None
    if row is None:
        raise Misconfigured(
            "the database has no tables of the box office: run `waitline migrate`, with the same "
            "--database-url"
        )
    step, known = row["step"], latest_step()
    if step < known:
        raise Misconfigured(
            f"the tables are at migration {step}, and this version needs {known}: "
            "run `waitline migrate`, with the same --database-url"
        )
    if step == known:
        return
    oldest = await database.fetch_one("schema_works_from")
    assert oldest is not None, "a migration has written it"
    if oldest["step"] > known:
        raise Misconfigured(
            f"the tables are at migration {step} and serve versions from migration "
            f"{oldest['step']} on, and this version ends at {known}: install a newer version"
        )
    log.info("schema_newer", step=step, known=known)
