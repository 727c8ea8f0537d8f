"""Index of reservations by seat."""

from waitline.booking.migrations.steps import run_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply the step."""
    run_file("0002_reserved_seat_by_seat.sql")
