"""Stopped schedules, seats held back, complimentary tickets, cool-downs and evidence."""

from waitline.booking.migrations.steps import run_file

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply the step."""
    run_file("0010_rules_of_sale.sql")
