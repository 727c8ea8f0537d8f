"""Columns for refunds and disputes at the provider; payments of amount 0."""

from waitline.booking.migrations.steps import run_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply the step."""
    run_file("0006_money.sql")
