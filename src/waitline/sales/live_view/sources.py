"""Sources of metrics: pages of the services, or a Prometheus that scrapes them."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple, Protocol

import aiohttp

from waitline.kernel.errors import Misconfigured
from waitline.sales.live_view.figures import NAMES
from waitline.sales.live_view.samples import MetricChange, Point, Reading, labels_of, parse_page
from waitline.sales.metric_answers import read_result, read_text

ADDRESSES_MAX = 64
"""Most addresses: 32 instances of both services. For more, ask a Prometheus."""

ANSWER_S = 10.0
"""Timeout of a page or a query, in s."""

WINDOW_S = 60
"""Interval of rates from Prometheus, in s: four of its scrapes at the default interval."""

PATH = "/actuator/prometheus"


class Measured(NamedTuple):
    """What was read.

    Attributes:
        change: The metrics at the begin and the end of the interval.
        interval_s: Its length.
        failures: Why a source could not be read, or `None`, by address.
    """

    change: MetricChange
    interval_s: float
    failures: Mapping[str, str | None]


class MetricSource(Protocol):
    """Something that metrics are read from."""

    async def fetch_change(self, session: aiohttp.ClientSession) -> Measured | None:
        """Return the change since the last reading; `None` after the first."""
        ...


class Pages:
    """Pages of metrics of the services.

    Args:
        addresses: For each, where it may be; the first that answers is taken.
    """

    def __init__(self, addresses: Sequence[Sequence[str]]) -> None:
        self._addresses = [list(one) for one in addresses]
        self._before: Reading = {}
        self._before_s = 0.0

    async def fetch_change(self, session: aiohttp.ClientSession) -> Measured | None:
        """See `MetricSource`.

        Raises:
            Misconfigured: The first time, if no address answers.
        """
        found = await asyncio.gather(*(self._page(session, one) for one in self._addresses))
        now_s = asyncio.get_running_loop().time()
        after: Reading = {}
        failures: dict[str, str | None] = {}
        for address, reading, failure in found:
            after |= reading
            failures[address] = failure
        first, before, before_s = not self._before_s, self._before, self._before_s
        if first and not after:
            raise Misconfigured(
                "; ".join(f"no metrics at {address}: {why}" for address, why in failures.items())
                + ". Give the addresses that `waitline up` prints as metrics"
            )
        self._before, self._before_s = after, now_s
        if first:
            return None
        return Measured(MetricChange(before, after), now_s - before_s, failures)

    async def _page(
        self, session: aiohttp.ClientSession, addresses: list[str]
    ) -> tuple[str, Reading, str | None]:
        failure = ""
        for address in addresses:
            try:
                text = await _fetched(session, f"{address.removesuffix(PATH)}{PATH}")
            except (aiohttp.ClientError, OSError, ValueError) as error:
                failure = failure or _reason(error)
                continue
            now_s = asyncio.get_running_loop().time()
            reading = await asyncio.to_thread(parse_page, text, now_s, address, NAMES.__contains__)
            if reading:
                # From now on it is read there.
                addresses[:] = [address]
                return address, reading, None
            failure = failure or "this is no page of metrics of Waitline"
        return addresses[0], {}, failure


class Prometheus:
    """A Prometheus that scrapes the services; rates are those of the last minute.

    Args:
        address: Its address.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._url = f"{address.rstrip('/')}/api/v1/query"

    async def fetch_change(self, session: aiohttp.ClientSession) -> Measured | None:
        """See `MetricSource`.

        Raises:
            Misconfigured: It does not answer, or has no metrics of Waitline.
        """
        names = "|".join(sorted(NAMES))
        selected = f'{{__name__=~"{names}"}}'
        try:
            # What is shown now, and what it was: series that have ended are in the second only.
            current, earlier = await asyncio.gather(
                self._query(session, selected), self._query(session, f"{selected}[{WINDOW_S}s]")
            )
            before, after = _readings(current, earlier)
        except (aiohttp.ClientError, OSError, ValueError, LookupError, TypeError) as error:
            raise Misconfigured(
                f"Prometheus at {self._address} does not answer: {_reason(error)}. "
                "Give its address with --prometheus"
            ) from None
        if not after:
            raise Misconfigured(
                f"Prometheus at {self._address} has no metrics of Waitline; "
                "deploy/prometheus/prometheus.yml says how it gets them"
            )
        return Measured(MetricChange(before, after), WINDOW_S, {self._address: None})

    async def _query(self, session: aiohttp.ClientSession, expr: str) -> list[Any]:
        async with session.post(self._url, data={"query": expr}) as answer:
            return await read_result(answer)


def _readings(current: list[Any], earlier: list[Any]) -> tuple[Reading, Reading]:
    """Return the first and the last point of each series that is shown now."""
    shown = {json.dumps(one["metric"], sort_keys=True) for one in current}
    before: Reading = {}
    after: Reading = {}
    for one in earlier:
        labels = dict(one["metric"])
        if json.dumps(labels, sort_keys=True) in shown:
            name = labels.pop("__name__")
            # One process of a service is one source: a series may begin within the minute.
            series = (
                name,
                labels_of(labels, f"{labels.get('job', '')} {labels.get('instance', '')}"),
            )
            first, last = (Point(*map(float, one["values"][at])) for at in (0, -1))
            if isfinite(first.value) and isfinite(last.value):
                before[series], after[series] = first, last
    return before, after


async def _fetched(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as answer:
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise ValueError(f"status {answer.status}")
        return await read_text(answer)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {ANSWER_S:.0f} s"
    return str(error) or type(error).__name__
