"""The evidence log of bookings."""

from waitline.booking.migrations.steps import run_file

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Apply the step."""
    run_file("0014_evidence.sql")
