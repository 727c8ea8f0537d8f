"""Reader of the load reports stream: the latest load of the box office, and its stock by room.

Times are on the store's clock: an entry's id is the time of writing. An invalid report is logged
and skipped, so it cannot stop admission; values are clamped where they are used (`policy.py`).
"""

from collections import OrderedDict
from statistics import fmean
from typing import NamedTuple

import msgspec
import structlog

from waitline.admission.policy import LOAD_MOST, SILENT_MS
from waitline.kernel.events import (
    REPORTED_MAX,
    REPORTS,
    REPORTS_KEPT,
    InStock,
    Report,
)
from waitline.kernel.ids import RoomId
from waitline.queue.decision import ShopReport
from waitline.queue.model import ROOMS_MAX
from waitline.valkey.client import ValkeyClient

WORKERS_MAX = 1_000
"""Most workers of the box office that are tracked; it bounds memory."""

log = structlog.get_logger()

_report = msgspec.json.Decoder(Report)


class _StockReport(NamedTuple):
    reported_ms: int
    stock: InStock


class ShopReports:
    """The latest reports.

    Args:
        store: Server of their stream.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store
        self._last_id = ""
        self._now_ms = 0
        self._loads: dict[str, tuple[int, float]] = {}
        # By room, least recently reported first.
        self._stock: OrderedDict[RoomId, _StockReport] = OrderedDict()

    async def refresh(self) -> None:
        """Read new reports.

        Raises:
            Unavailable: The store does not answer.
        """
        # The first read includes old reports: they show which rooms have a shop.
        words = (
            ("XRANGE", REPORTS, f"({self._last_id}", "+", "COUNT", 2 * REPORTS_KEPT)
            if self._last_id
            else ("XREVRANGE", REPORTS, "+", "-", "COUNT", REPORTS_KEPT)
        )
        # Not as a transaction, which a full store refuses.
        now_ms = await self._store.time_ms(REPORTS)
        entries = await self._store.command(*words)
        before_ms, self._now_ms = self._now_ms, now_ms
        if self._now_ms < before_ms:
            self._set_back()
        for entry_id, fields in entries if self._last_id else reversed(entries):
            self._last_id = entry_id
            # Ids never decrease; after the store's clock was set back they are ahead of it.
            self._take(min(int(entry_id.partition("-")[0]), self._now_ms), fields)
        self._loads = {
            worker: (reported_ms, load)
            for worker, (reported_ms, load) in self._loads.items()
            if self._now_ms - reported_ms <= SILENT_MS
        }

    def _set_back(self) -> None:
        """Move future reports to the present: the store's clock was set back, and they must age."""
        for worker, (reported_ms, load) in self._loads.items():
            self._loads[worker] = (min(reported_ms, self._now_ms), load)
        for room, found in self._stock.items():
            self._stock[room] = found._replace(reported_ms=min(found.reported_ms, self._now_ms))

    def _take(self, reported_ms: int, fields: list[str]) -> None:
        try:
            report = _report.decode(dict(zip(fields[::2], fields[1::2], strict=True))["report"])
        except (KeyError, ValueError) as error:
            log.warning("shop_report_invalid", reason=repr(error))
            return
        if report.worker in self._loads or len(self._loads) < WORKERS_MAX:
            self._loads[report.worker] = (reported_ms, min(report.load, LOAD_MOST))
        for room, stock in list((report.stock or {}).items())[:REPORTED_MAX]:
            self._stock[RoomId(room)] = _StockReport(reported_ms, stock)
            self._stock.move_to_end(RoomId(room))
        while len(self._stock) > ROOMS_MAX:
            self._stock.popitem(last=False)

    def of(self, room: RoomId) -> ShopReport | None:
        """Return the latest report on a room, however old; `None` if there never was one."""
        found = self._stock.get(room)
        if found is None:
            return None
        # The workers share one database, and visitors cannot choose their worker.
        loads = [load for _, load in self._loads.values()]
        load = fmean(loads) if loads else 0.0
        return ShopReport(found.stock.free, found.stock.live, load, found.reported_ms)
