"""Column for what happens to a concert's visitors while the queue is down."""

from waitline.booking.migrations.steps import run_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply the step."""
    run_file("0003_queue_down.sql")
