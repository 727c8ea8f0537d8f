"""Limits per concert can be set, and complimentary tickets count toward no buyer's limit."""

from waitline.booking.migrations.steps import run_file

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply the step."""
    run_file("0012_concert_limits.sql")
