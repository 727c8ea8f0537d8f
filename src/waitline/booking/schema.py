"""Schema check: whether the box office's tables match this version."""

from importlib.resources import files

from waitline.kernel.errors import Misconfigured
from waitline.postgres.pool import Database


def latest_step() -> str:
    """Return the name of the last migration that this version has."""
    folder = files("waitline.booking") / "migrations"
    return max(file.name[:4] for file in folder.iterdir() if file.name.endswith(".sql"))


async def require_tables(database: Database) -> None:
    """Check that all migrations were applied.

    A newer schema is accepted: migrations run while the previous version still serves.

    Raises:
        Misconfigured: The tables are missing, or out of date.
        Unavailable: The database does not answer.
    """
    found = await database.fetch_one("has_tables")
    row = await database.fetch_one("schema_step") if found and found["found"] else None
    if row is None:
        raise Misconfigured(
            "the database has no tables of the box office: run `waitline migrate`, with the same "
            "--database-url"
        )
    if row["step"] < latest_step():
        raise Misconfigured(
            f"the tables are at migration {row['step']}, and this version needs "
            f"{latest_step()}: run `waitline migrate`, with the same --database-url"
        )
