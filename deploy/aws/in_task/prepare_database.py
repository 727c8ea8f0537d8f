"""Prepares the database for a version: its tables, and what the booking service's role may do.

Runs before the booking service in each of its tasks; every step may be repeated, and several tasks
may run it at once.
"""

import asyncio
import json
import os
import subprocess

import asyncpg

ROLE_LOCK = 7_165_001
"""Advisory lock of making the role: two tasks must not make it at once."""


async def allow(owner: dict[str, str], user: dict[str, str], ssl: str) -> None:
    """Make the role if it is missing, and let it read and write the tables, not change them.

    The rotation of its password gives it two names in turn: the second is a member of the first.
    """
    role = user["username"].removesuffix("_clone")
    connection = await asyncpg.connect(
        user=owner["username"],
        password=owner["password"],
        host=owner["host"],
        port=int(owner["port"]),
        database=owner["dbname"],
        ssl=ssl,
    )
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", ROLE_LOCK)
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
                # Statements about roles take no parameters: the server quotes them for us.
                await connection.execute(
                    await connection.fetchval(
                        "SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)",
                        role,
                        user["password"],
                    )
                )
            for right in (
                "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public",
                "USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public",
                "EXECUTE ON ALL FUNCTIONS IN SCHEMA public",
            ):
                await connection.execute(
                    await connection.fetchval(
                        f"SELECT format('GRANT {right} TO %I', $1::text)", role
                    )
                )
    finally:
        await connection.close()


if __name__ == "__main__":
    # An older version is refused here where a newer one has been before, as in a roll-back. The
    # booking service checks at its start whether the tables serve it, so that decides.
    subprocess.run(["waitline", "migrate"], check=False)
    asyncio.run(
        allow(
            json.loads(os.environ["OWNER_SECRET"]),
            json.loads(os.environ["USER_SECRET"]),
            ssl="require",
        )
    )
