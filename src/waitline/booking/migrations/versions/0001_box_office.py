"""The box office's tables."""

from waitline.booking.migrations.steps import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Go one step forward."""
    run_file("0001_box_office.sql")
