"""The oldest version that the tables serve."""

from waitline.booking.migrations.steps import run_file

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply the step."""
    run_file("0015_works_from.sql")
