"""The sale state of a schedule as time passes."""

from waitline.booking.sale_state import SalePeriod, SaleState, ScheduleState

OPENS, ENDS = 1_000, 2_000


def test_it_opens_and_ends_to_the_millisecond() -> None:
    period = SalePeriod(ScheduleState.ON_SALE, OPENS, ENDS)
    seen = [(period.state(at), period.next_change_ms(at)) for at in (0, 999, 1_000, 1_999, 2_000)]
    assert seen == [
        (SaleState.NOT_OPEN, OPENS),
        (SaleState.NOT_OPEN, OPENS),
        (SaleState.ON_SALE, ENDS),
        (SaleState.ON_SALE, ENDS),
        (SaleState.ENDED, None),
    ]


def test_without_an_opening_it_has_been_open_from_the_start() -> None:
    period = SalePeriod(ScheduleState.ON_SALE, None, ENDS)
    assert (period.state(-1), period.next_change_ms(-1)) == (SaleState.ON_SALE, ENDS)


def test_a_stop_counts_whatever_the_time() -> None:
    for stopped in (ScheduleState.CANCELLED, ScheduleState.POSTPONED):
        period = SalePeriod(stopped, OPENS, ENDS)
        for at_ms in (0, OPENS, ENDS):
            assert period.state(at_ms) == SaleState(stopped)
            assert period.next_change_ms(at_ms) is None
