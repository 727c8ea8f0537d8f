"""Definitions of a sale report's figures, and why similar figures differ. Pure."""

from collections.abc import Iterator

from waitline.booking.sale_totals import Totals
from waitline.kernel.plurals import counted
from waitline.queue.model import Survey

LINE = {
    "entered": "visitors who took a place in the line",
    "admitted": "visitors whose turn came, whether they used it or not",
    "overtaken": "visitors admitted after somebody who had joined later; must be 0",
    "activated": "admitted visitors whose page or shop began the turn (activate). Buying needs no "
    "such call: a visitor can reserve and pay right after admission",
    "no_shows": "admitted visitors who did not activate in time and bought nothing",
    "left": "visitors who gave their slot back in time: they bought, or they left",
    "abandoned": "visitors who left the line before their turn",
    "passed": "visitors without contact when their turn came; some may have come back",
    "lapsed": "admitted visitors whose time ran out, no-shows included",
    "returned": "visitors who were passed over and came back to their place",
    "removed": "visitors whom an operator removed by resetting the room",
    "waiting": "visitors in the line at this moment",
    "inside": "visitors who hold a slot at this moment",
    "wait_ms": "time from joining to admission, including visitors who left later",
}
"""Figures of the line; they count from the creation of the room."""

OFFICE = {
    "concerts": "concerts whose waiting room this is",
    "seats": "seats of their schedules, whether sold, free or held back",
    "sold": "seats of all concerts of this room that are sold now, complimentary ones included",
    "held": "seats in reservations that are not paid for yet",
    "held_back": "seats that operators keep out of the sale; nobody can buy them",
    "reservations": "every reservation ever made; one may have several seats",
    "pending": "reservations that are not paid for yet",
    "confirmed": "reservations that stand: paid for, free of charge, or complimentary",
    "buyers": "visitors with a standing reservation; one may have several",
    "complimentary": "seats that operators gave away: nobody stood in line for them",
    "free": "standing reservations of visitors that cost nothing",
    "expired": "reservations that were not paid for in time; their seats were put back",
    "cancelled": "reservations that buyers or operators cancelled, paid for or not",
    "payments": "attempts to pay",
    "declined": "attempts to pay that were not charged",
    "refunded": "payments that were given back",
    "refunding": "payments that are being given back",
    "taken": "charged and not refunded, by currency",
    "given_back": "refunded, by currency",
    "paying_p95_s": "time from reserving to paying",
}
"""Figures of the box office: its data as they are now."""


def differences(survey: Survey, totals: Totals | None) -> Iterator[str]:
    """Yield a sentence for each pair of similar figures that differ."""
    counters = survey.counters
    admitted, began = counters["admitted"], counters["activated"]
    others = admitted - began - counters["no_shows"]
    if others > 0:
        yield (
            f"Of {admitted:,} admitted, {began:,} activated their turn and "
            f"{counters['no_shows']:,} were no-shows. The other {others:,} bought or left without "
            "that step, were removed by an operator, or can still do so."
        )
    if totals is None:
        return
    buyers = counted(totals.buyers, "buyer")
    if totals.buyers > began:
        yield (
            f"{buyers}, though {began:,} activated their turn: visitors can reserve and pay right "
            "after admission, and programs often do."
        )
    if totals.buyers > admitted:
        yield (
            f"{buyers}, though {admitted:,} were admitted: the room's counts begin at its "
            "creation, and the box office also counts what was sold before."
        )
    if totals.complimentary:
        yield (
            f"Complimentary: {counted(totals.complimentary, 'seat')} of {totals.sold:,} sold. "
            "Operators issued them, without the line and without a payment."
        )
    if totals.free:
        yield f"{counted(totals.free, 'standing reservation')} free of charge: no payment was made."
    if totals.sold > totals.confirmed > 0:
        standing = counted(totals.confirmed, "standing reservation")
        yield f"{counted(totals.sold, 'seat')} in {standing}: one may have several seats."
