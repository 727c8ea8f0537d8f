"""Send visitors to the shop of `make example`: make crowd.

Each is a browser without a window: it opens the ticket page, waits in the line if there is one,
looks around, and orders, which frees its slot.
"""

import asyncio
import os
import sys
from collections import Counter
from time import monotonic
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import aiohttp

PAGE = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}/tickets"
VISITORS = 60
ARRIVE_S = 6.0
LOOK_AROUND_S = 4.0
SHOW_S = 2.0

# Where the visitors are, and how many have been somewhere.
now: Counter[str] = Counter()


async def main() -> int:
    """Send them all; return the exit status."""
    started_s = monotonic()
    waits_s: list[float] = []
    failures: list[BaseException] = []
    shown = asyncio.create_task(show(started_s))
    try:
        async with asyncio.TaskGroup() as visitors:
            for number in range(VISITORS):
                visitors.create_task(visit(number * ARRIVE_S / VISITORS, waits_s))
    except* aiohttp.ClientError as failed:
        failures += failed.exceptions
    finally:
        shown.cancel()
    if failures:
        print(f"The shop does not answer ({failures[0]}). In another terminal: make example")
        return 1
    waited_s = [wait_s for wait_s in waits_s if wait_s > 0]
    print(
        f"{VISITORS} visitors: {VISITORS - len(waited_s)} admitted at once, {len(waited_s)} after "
        f"waiting in line for up to {max(waited_s, default=0):.0f} s"
    )
    return 0


async def visit(arrives_s: float, waits_s: list[float]) -> None:
    """Make one visit, and note the wait in line."""
    await asyncio.sleep(arrives_s)
    # With cookies of its own, also of hosts that are numbers.
    jar = aiohttp.CookieJar(unsafe=True)
    headers = {"Accept": "text/html"}
    async with aiohttp.ClientSession(cookie_jar=jar, headers=headers) as browser:
        arrived_s = monotonic()
        async with browser.get(PAGE, allow_redirects=False) as answer:
            line = answer.headers.get("Location")
        if line is not None:
            now["in line"] += 1
            page = await through_the_line(browser, line)
            now["in line"] -= 1
            async with browser.get(page) as answer:
                answer.raise_for_status()
        waits_s.append(monotonic() - arrived_s if line else 0.0)
        now["on the ticket page"] += 1
        await asyncio.sleep(LOOK_AROUND_S)
        async with browser.post(f"{PAGE}/order") as answer:
            answer.raise_for_status()
        now["on the ticket page"] -= 1
        now["done"] += 1


async def through_the_line(browser: aiohttp.ClientSession, line: str) -> str:
    """Wait in line as the waiting page does; return the address that it hands over to."""
    parts = urlsplit(line)
    queue = f"{parts.scheme}://{parts.netloc}/api/v1"
    room = parts.path.rpartition("/")[2]
    who = {"concertId": room, "userId": str(uuid4())}
    back = {"room": room, "return": parse_qs(parts.query)["return"][0]}
    async with browser.get(f"{queue}/gate/return", params=back) as answer:
        page = (await answer.json())["data"]["url"]
    async with browser.post(f"{queue}/queue/enter", json=who) as answer:
        answer.raise_for_status()
    while True:
        async with browser.get(f"{queue}/queue/status", params=who) as answer:
            found = (await answer.json())["data"]
        if found["status"] != "WAITING":
            break
        await asyncio.sleep(found["recommendedPollIntervalMs"] / 1_000)
    async with browser.post(f"{queue}/queue/activate", params=who) as answer:
        token = (await answer.json())["data"]["token"]
    return f"{page}{'&' if '?' in page else '?'}waitline={token}"


async def show(started_s: float) -> None:
    """Print every two seconds where the visitors are."""
    while True:
        await asyncio.sleep(SHOW_S)
        places = (f"{name} {now[name]:3}" for name in ("on the ticket page", "in line", "done"))
        print(f"{monotonic() - started_s:3.0f} s   {'   '.join(places)}", flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
