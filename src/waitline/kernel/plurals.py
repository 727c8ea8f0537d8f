"""Plural agreement of English texts. Pure."""


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return a number with the words that agree with it: `1 seat`, `1,200 seats`.

    Args:
        number: Any count.
        one: The words after 1: `seat`, or `seat is`.
        several: The words after any other number; `one` with an s unless given.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def counted_unless_none(number: int, one: str) -> list[str]:
    """Return a number with its noun as a list of one, for enumerations; an empty list for 0."""
    return [counted(number, one)] if number else []
