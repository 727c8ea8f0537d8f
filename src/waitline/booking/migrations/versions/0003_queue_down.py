"""What a concert's visitors meet while the queue does not answer."""

from waitline.booking.migrations.steps import run_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Go one step forward."""
    run_file("0003_queue_down.sql")
