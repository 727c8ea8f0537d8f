"""Listening clock, which measures how long seats are held."""

from waitline.booking.migrations.steps import run_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply the step."""
    run_file("0005_listening.sql")
