"""Tables of the box office."""

from waitline.booking.migrations.steps import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply the step."""
    run_file("0001_box_office.sql")
