"""`saleState` of schedules: right at the moment of the request, from memory."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.booking_web.office import Office, Show, refused, succeeded
from tests.booking_web.test_operator import call
from tests.databases import TestDatabase
from tests.until import until
from waitline.booking.catalogue import Catalogue
from waitline.booking.catalogue_cache import CatalogueCache
from waitline.booking.catalogue_model import ScheduleSettings
from waitline.http.requests import Request
from waitline.http.responses import Answer
from waitline.kernel.instants import Instant
from waitline.postgres.pool import Database
from waitline.services.booking.catalogue_calls import CatalogueCalls

SOON_S = 20.0
STARTS_MS, OPENS_MS, ENDS_MS = 2_000_000_000_000, 1_900_000_000_000, 1_999_999_000_000


class MovedClock:
    """A clock that stands until it is moved."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms


class Lists:
    """Calls for the schedules of concert 1 at chosen moments."""

    def __init__(self, calls: CatalogueCalls, clock: MovedClock) -> None:
        self._calls = calls
        self._clock = clock

    async def at(self, at_ms: int, etag: bytes = b"") -> Answer:
        self._clock.at_ms = at_ms
        headers = {b"if-none-match": etag} if etag else {}
        request = Request("/api/v1/concerts/1/schedules", b"", headers)
        return await self._calls.schedules(request)


def header(answer: Answer, name: bytes) -> bytes:
    return dict(answer.headers)[name]


def states(answer: Answer) -> list[str]:
    listed: list[dict[str, Any]] = msgspec.json.decode(answer.body)["data"]["schedules"]
    return [one["saleState"] for one in listed]


def test_time_alone_changes_the_list_and_its_entity_tag(postgres: TestDatabase) -> None:
    statements: Counter[str] = Counter()
    database = Database(
        postgres.url, "waitline.booking", on_statement=lambda name, *_: statements.update([name])
    )

    async def run() -> None:
        catalogue = Catalogue(database)
        await catalogue.create_concert("a", "b", "room")
        settings = ScheduleSettings(opens_at=Instant(OPENS_MS, 0), sales_end=Instant(ENDS_MS, 0))
        await catalogue.create_schedule(1, Instant(STARTS_MS, 0).time, settings)
        await catalogue.create_schedule(1, Instant(STARTS_MS + 1_000, 0).time)
        clock = MovedClock(0)
        lists = Lists(CatalogueCalls(CatalogueCache(catalogue), clock), clock)

        early = await lists.at(OPENS_MS - 60_000)
        assert states(early) == ["NOT_OPEN", "ON_SALE"]
        assert header(early, b"cache-control") == b"public, max-age=5"
        tag = header(early, b"etag")
        last = await lists.at(OPENS_MS - 1, tag)
        # Nothing has changed yet, and caches let go of it when it does.
        assert (last.status, header(last, b"cache-control")) == (304, b"public, max-age=1")
        assert header(await lists.at(OPENS_MS - 1_500), b"cache-control") == b"public, max-age=2"

        opened = await lists.at(OPENS_MS, tag)
        assert (opened.status, states(opened)) == (200, ["ON_SALE", "ON_SALE"])
        assert header(opened, b"cache-control") == b"public, max-age=5"
        tag = header(opened, b"etag")
        assert (await lists.at(ENDS_MS - 1, tag)).status == 304
        ended = await lists.at(ENDS_MS, tag)
        assert (ended.status, states(ended)) == (200, ["ENDED", "ON_SALE"])
        # The start of the performance ends the sale that has no other end.
        assert states(await lists.at(STARTS_MS + 1_000)) == ["ENDED", "ENDED"]

    async def closed() -> None:
        try:
            await run()
        finally:
            await database.close()

    postgres.wait(closed())
    assert statements["newest_schedules"] == statements["concerts"] == 1


def sale_state(office: Office, show: Show) -> str:
    path = f"/api/v1/concerts/{show.concert}/schedules"
    (listed,) = succeeded(office.get(path))["schedules"]
    state: str = listed["saleState"]
    return state


def shown_to_operators(office: Office, show: Show) -> str:
    found = succeeded(call(office, "GET", f"schedules/{show.schedule}"))
    state: str = found["saleState"]
    return state


@pytest.mark.parametrize(
    ("times", "verb", "state", "kind"),
    [
        ({"opensAt": "2029-01-01T12:00+09:00"}, "", "NOT_OPEN", "sales-not-open"),
        ({"startsAt": "2020-01-01T19:00+09:00"}, "", "ENDED", "sales-over"),
        ({}, "cancel", "CANCELLED", "schedule-stopped"),
        ({"opensAt": "2029-01-01T12:00+09:00"}, "postpone", "POSTPONED", "schedule-stopped"),
        ({"startsAt": "2020-01-01T19:00+09:00"}, "cancel", "CANCELLED", "schedule-stopped"),
    ],
)
def test_refusals_agree_with_the_state(
    trial: Office, times: dict[str, Any], verb: str, state: str, kind: str
) -> None:
    show = trial.show(**times)
    if verb:
        body = {"refundUntil": "2030-02-01T00:00:00+09:00"} if verb == "postpone" else {}
        succeeded(call(trial, "POST", f"schedules/{show.schedule}/{verb}", body))
    until(lambda: sale_state(trial, show) == state, SOON_S, "the list says it")
    assert shown_to_operators(trial, show) == state
    buyer = show.buyer()
    assert refused(buyer.reserve(show.seats[0]), 409, "C005")["type"].endswith(kind)


def test_a_sale_that_opens_now_is_said_and_sells(trial: Office) -> None:
    opens = datetime.now(UTC) + timedelta(seconds=3)  # noqa: TID251 - of the machine's clock
    show = trial.show(opensAt=opens.isoformat())
    assert sale_state(trial, show) == "NOT_OPEN"
    buyer = show.buyer()
    until(lambda: sale_state(trial, show) == "ON_SALE", SOON_S, "it opens")
    buyer.reserved(show.seats[0])
