"""How the box office's tables came to be: one SQL file a step, applied in order by Alembic.

Each step only goes forward, and each may be applied while the older version still serves.

steps.py   applies what is due
versions/  what Alembic reads: names the steps and their order
*.sql      the steps
env.py     runs them, all in one transaction
"""


async def migrate(url: str) -> list[str]:
    """Bring the tables of a database up to date.

    Args:
        url: As in `waitline.postgres.pool.Database`.

    Returns:
        The steps that were applied, the first first; empty if it was up to date.

    Raises:
        Misconfigured: The database lets us not in, or has steps that this version does not know.
        Unavailable: It does not answer, or others have the tables; nothing was changed.
    """
    # Here, because Alembic takes longer to import than most commands take in all, and every process
    # of ours is started by a command.
    from waitline.booking.migrations.steps import applied  # noqa: PLC0415

    return await applied(url)
