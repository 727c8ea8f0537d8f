"""Original expiry of a reservation, for idempotent repeats."""

from waitline.booking.migrations.steps import run_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply the step."""
    run_file("0007_first_expiry.sql")
