"""Mode of the data, and origin of each concert."""

from waitline.booking.migrations.steps import run_file

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply the step."""
    run_file("0009_installation.sql")
