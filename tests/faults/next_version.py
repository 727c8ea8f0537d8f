"""Makes another version of the package: a script that differs, and one more migration."""

import shutil
from pathlib import Path

import waitline

STEP = "9001"

MIGRATION = "ALTER TABLE reservation ADD COLUMN channel text;\n"

MODULE = f'''"""Where a reservation was made."""

from waitline.booking.migrations.steps import run_file

revision = "{STEP}"
down_revision = "{{before}}"


def upgrade() -> None:
    """Apply the step."""
    run_file("{STEP}_channel.sql")
'''

# By file: texts of this version, and of the next. Its script stores and returns more, and its
# statement fills the new column.
CHANGES = {
    "queue/lua/join.lua": {
        "  joined   place:int joined_ms:int ahead:int total:int\n": (
            "  joined   place:int joined_ms:int ahead:int total:int latest:int\n"
        ),
        "{'joined', last, clock, total, total + 1}": (
            "{'joined', last, clock, total, total + 1,\n"
            "        redis.call('HINCRBY', room, 'joined_by_next', 1)}"
        ),
    },
    "queue/store.py": {
        '    "joined": Joined,\n': '    "joined": lambda *row: Joined(*row[:4]),\n',
    },
    "booking/sql/reservations.sql": {
        "(schedule_id, user_id, holder, amount, expires_at, made_by)\n": (
            "(schedule_id, user_id, holder, amount, expires_at, made_by, channel)\n"
        ),
        "make_interval(secs => :hold_s), found.made_by\n": (
            "make_interval(secs => :hold_s), found.made_by, 'web'\n"
        ),
    },
}


def make(folder: Path) -> Path:
    """Copy the package into a folder and change it; return the folder, for PYTHONPATH."""
    package = folder / "waitline"
    shutil.copytree(
        Path(waitline.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    for name, changes in CHANGES.items():
        path = package / name
        text = path.read_text("utf-8")
        for ours, theirs in changes.items():
            assert text.count(ours) == 1, f"{name}: {ours!r} has changed; change it here too"
            text = text.replace(ours, theirs)
        path.write_text(text, "utf-8")
    migrations = package / "booking" / "migrations"
    latest = max(path.name[:4] for path in migrations.glob("0*.sql"))
    (migrations / f"{STEP}_channel.sql").write_text(MIGRATION, "utf-8")
    module = MODULE.replace("{before}", latest)
    (migrations / "versions" / f"{STEP}_channel.py").write_text(module, "utf-8")
    return folder
