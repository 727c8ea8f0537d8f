"""Seats with section, row and number, and the log of the catalogue's changes."""

from waitline.booking.migrations.steps import run_file

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply the step."""
    run_file("0011_seats_and_changes.sql")
