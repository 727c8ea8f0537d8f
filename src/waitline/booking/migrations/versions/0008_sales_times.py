"""Sale times of schedules, and currency of a concert's prices."""

from waitline.booking.migrations.steps import run_file

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply the step."""
    run_file("0008_sales_times.sql")
