"""Starts a command of Waitline in a task: turns what ECS gives into settings, and becomes it.

ECS hands out secrets as environment variables. Waitline wants the addresses of its stores with
their passwords, and the signing keys as a file that only its user can read.
"""

import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

KEYS_GIVEN = "SIGNING_KEYS"
VALKEY_GIVEN, VALKEY_HOST = "VALKEY_SECRET", "VALKEY_HOST"
DATABASE_GIVEN = "DATABASE_SECRET"


def settings(given: dict[str, str]) -> dict[str, str]:
    """Return the environment of the command: without what was given, with settings instead."""
    found = {
        name: value
        for name, value in given.items()
        if name not in {KEYS_GIVEN, VALKEY_GIVEN, VALKEY_HOST, DATABASE_GIVEN}
    }
    if VALKEY_GIVEN in given:
        found["WAITLINE_VALKEY_URL"] = (
            f"rediss+cluster://{_login(json.loads(given[VALKEY_GIVEN]))}@{given[VALKEY_HOST]}"
        )
    if DATABASE_GIVEN in given:
        one = json.loads(given[DATABASE_GIVEN])
        found["WAITLINE_DATABASE_URL"] = (
            f"postgresql://{_login(one)}@{one['host']}:{one['port']}/{one['dbname']}"
            "?sslmode=require"
        )
    return found


def _login(secret: dict[str, str]) -> str:
    return f"{quote(secret['username'], safe='')}:{quote(secret['password'], safe='')}"


def write_keys(folder: Path, text: str) -> None:
    """Write the signing keys where Waitline looks for them, readable by this user only."""
    (folder / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / "keys" / "keys.json"
    file.unlink(missing_ok=True)
    # Made with its final mode: at no time may anybody else read it.
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(text, "utf-8")


if __name__ == "__main__":
    if KEYS_GIVEN in os.environ:
        write_keys(Path(os.environ["WAITLINE_DATA_DIR"]), os.environ[KEYS_GIVEN])
    os.execvpe(sys.argv[1], sys.argv[1:], settings(dict(os.environ)))
