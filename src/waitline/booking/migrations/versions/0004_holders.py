"""Users as text, holders of reservations, random ids, idempotency keys with their outcomes."""

from waitline.booking.migrations.steps import run_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply the step."""
    run_file("0004_holders.sql")
