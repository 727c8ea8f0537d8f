"""Random ids that collide: another one is drawn, and nobody notices."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.booking.desk import ANN, STRANGER, Till
from tests.booking.sale import PRICE, Sale, plays
from tests.databases import TestDatabase
from waitline.booking.checkout import Checkout
from waitline.booking.collisions import TRIES
from waitline.postgres.driver_errors import Duplicate


@contextmanager
def drawing(postgres: TestDatabase, table: str, ids: list[int]) -> Iterator[None]:
    """Let the database draw these ids, the last one for ever."""
    drawn = f"""
        CREATE SEQUENCE draws;
        CREATE FUNCTION drawn() RETURNS bigint LANGUAGE sql VOLATILE AS
            'SELECT (ARRAY{ids})[least(nextval(''draws''), {len(ids)})]';
        ALTER TABLE {table} ALTER COLUMN {table}_id SET DEFAULT drawn();
    """
    after = f"""
        ALTER TABLE {table} ALTER COLUMN {table}_id SET DEFAULT nextval('{table}_numbers');
        DROP FUNCTION drawn();
        DROP SEQUENCE draws;
    """

    async def run(statements: str) -> None:
        for statement in statements.split(";\n"):
            if statement.strip():
                await postgres.sql(statement)

    postgres.wait(run(drawn))
    try:
        yield
    finally:
        postgres.wait(run(after))


def test_another_id_is_drawn_for_a_reservation(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        first = await sale.reservations.reserve(1, [1], ANN)
        second = await sale.reservations.reserve(1, [2], STRANGER)
        assert (first.reservation_id, second.reservation_id) == (5, 6)

    with drawing(postgres, "reservation", [5, 5, 6]):
        plays(postgres, play)


def test_another_id_is_drawn_for_a_payment(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        checkout = Checkout(sale.database, Till(), at_price=True)  # type: ignore[arg-type]
        numbers = []
        for seat in (1, 2):
            made = await sale.reservations.reserve(1, [seat], ANN)
            paid = await checkout.pay(made.reservation_id, ANN, PRICE, "CARD")
            numbers.append(paid.payment_id)
        assert numbers == [5, 6]

    with drawing(postgres, "payment", [5, 5, 5, 6]):
        plays(postgres, play)


def test_repeated_collisions_are_a_bug(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await sale.reservations.reserve(1, [1], ANN)
        with pytest.raises(Duplicate):
            await sale.reservations.reserve(1, [2], STRANGER)
        assert await sale.seats() == "R" + "A" * 9

    assert TRIES == 3
    with drawing(postgres, "reservation", [5]):
        plays(postgres, play)
