"""Schema migrations of the box office, by Alembic: one SQL file per step.

There are no downgrades. Each step may be applied while the previous version still serves, except
0004, which changes the type of the users' column. A step that an older version cannot work with
raises `schema_works_from` (decision 0042).

steps.py   applies the pending steps
versions/  the steps' names and order, as Alembic modules
*.sql      the steps
env.py     Alembic's environment: runs the steps in one transaction
"""


async def migrate(url: str) -> list[str]:
    """Bring the tables of a database up to date.

    Args:
        url: As in `waitline.postgres.pool.Database`.

    Returns:
        The steps that were applied, in order; empty if the tables were up to date.

    Raises:
        Misconfigured: The database refuses the connection, or has steps that this version does not
            know.
        Unavailable: It does not answer, or the tables are locked; nothing was changed.
    """
    # Imported here: Alembic takes longer to import than most commands run, and every process
    # starts as a command.
    from waitline.booking.migrations.steps import applied  # noqa: PLC0415

    return await applied(url)
