"""The currency of a payment, and of its charge where that is another."""

from waitline.booking.migrations.steps import run_file

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply the step."""
    run_file("0013_currency_of_payments.sql")
