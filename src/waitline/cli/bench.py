"""How fast it is here."""


def bench() -> None:
    """Measure."""
