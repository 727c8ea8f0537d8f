"""Server-sent events: changes of a visitor's status, and whether the shop is sold out.

Source: the WHATWG HTML standard, section 9.2 (server-sent events).
"""

import asyncio
import random
import weakref

import msgspec
from fastapi import APIRouter
from starlette.requests import Request as FrameworkRequest
from starlette.responses import Response
from typing_extensions import override

from waitline.http.problem_responses import ProblemResponses, RefusalWithData
from waitline.http.requests import Receive, Request, Scope
from waitline.http.responses import Send
from waitline.kernel.errors import Refused
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.feed import Feed, Subscription
from waitline.queue.model import SOLD_OUT, Passed, Standing, State, TimeRanOut, Waiting
from waitline.queue.store import Line
from waitline.services.identity import Identity
from waitline.services.queue.address_watch import AddressWatch
from waitline.services.queue.calls import QueueCalls, claim_of
from waitline.tokens.proof import Proof

KEEPALIVE_S = 15.0
"""Idle time after which a comment is sent, so that proxies keep the connection open."""

STREAM_S_MAX = 1_800.0
"""How long one stream lasts. The browser opens the next by itself, perhaps on another worker."""

RETRY_MS = 5_000
"""When a browser reopens a broken stream: within the token bucket of ten streams and one more every
two seconds."""

RETRY_MS_MIN = 1_000
"""Earliest time of reopening a stream that ended at a shutdown; the latest is `RETRY_MS`."""

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # nginx would buffer events.
    (b"x-accel-buffering", b"no"),
]


class Streams:
    """Opens event streams.

    Args:
        line: Limits how often a visitor opens one.
        feed: Signals changes.
        calls: Encodes a standing as the status call does.
        who: Authenticates visitors.
        problems: Encodes errors.
        watch: Counts and limits client addresses.
    """

    def __init__(
        self,
        *,
        line: Line,
        feed: Feed,
        calls: QueueCalls,
        who: Identity,
        problems: ProblemResponses,
        watch: AddressWatch,
    ) -> None:
        self._watch = watch
        self._line = line
        self._feed = feed
        self._calls = calls
        self._who = who
        self._problems = problems

    def router(self) -> APIRouter:
        """Return the route."""
        router = APIRouter()
        router.add_api_route(
            "/api/v1/queue/subscribe",
            self.subscribe,
            methods=["GET"],
            response_class=Response,
            include_in_schema=False,
        )
        return router

    async def subscribe(self, request: FrameworkRequest) -> Response:
        """Open a stream of one visitor's standing."""
        asked = Request.of(request.scope)
        room = RoomId(asked.parameter("concertId"))
        visitor = VisitorId(asked.parameter("userId"))
        if self._watch.blocked:
            self._watch.require_unblocked(asked, room)
        proof = self._who.prove(asked, room, visitor)
        with self._feed.opening():
            # An unknown visitor is refused as by the status call: before the stream begins, and
            # before the visitor's limit is counted, or strangers could fill the store with
            # invented names.
            claim = claim_of(visitor, proof)
            standing = (await self._line.status(room, [claim]))[0]
            if isinstance(standing, Passed):
                standing = await self._calls.rejoined(room, claim, standing)
            self._calls.status_view(room, visitor, standing, proof)
            await self._line.subscribe(room, visitor)
            subscription = self._feed.subscribe(room, claim, standing)
        stream = _Stream(self, asked, subscription, proof)
        # Also for a stream that is never sent because the client has disconnected.
        weakref.finalize(stream, self._feed.unsubscribe, subscription)
        return stream

    async def send_events(self, stream: "_Stream", send: Send) -> None:
        """Send events until the visitor's turn, or until the visitor has left the line."""
        try:
            await self._send_events(stream, send)
        finally:
            self._feed.unsubscribe(stream.subscription)

    async def _send_events(self, stream: "_Stream", send: Send) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + STREAM_S_MAX
        subscription = stream.subscription
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await _write(send, b"retry: %d\n\n" % RETRY_MS)
        sent: Standing | None = None
        mode = ""
        while loop.time() < until_s:
            try:
                async with asyncio.timeout(KEEPALIVE_S):
                    await subscription.changed.wait()
            except TimeoutError:
                await _write(send, b": still here\n\n")
                continue
            if self._feed.ended:
                # Graceful shutdown: the browser reconnects to another process. Spread over time,
                # or all streams of this one would arrive there at once.
                await _write(send, b"retry: %d\n\n" % random.randint(RETRY_MS_MIN, RETRY_MS))  # noqa: S311
                break
            subscription.changed.clear()
            if SOLD_OUT in (mode, subscription.mode) and mode != subscription.mode:
                data = msgspec.json.encode({"mode": subscription.mode})
                await _write(send, _event("mode", data))
            mode = subscription.mode
            if subscription.standing == sent:
                continue
            sent = subscription.standing
            text, ends = self._events(stream, subscription)
            await _write(send, text)
            if ends:
                break
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _events(self, stream: "_Stream", subscription: Subscription) -> tuple[bytes, bool]:
        """Return the events for a standing, and whether they are the last."""
        standing = subscription.standing
        try:
            status = self._calls.status_view(
                subscription.room, subscription.claim[0], standing, stream.proof
            )
            if status.status == State.EXPIRED:
                raise TimeRanOut  # noqa: TRY301 - sent below
        except Exception as error:
            refusal = error.refusal if isinstance(error, RefusalWithData) else error
            if not isinstance(refusal, Refused):
                raise
            body = self._problems.body(refusal, stream.asked.language, path=stream.asked.path)
            return _event("error", body), True
        text = _event("status-update", msgspec.json.encode(status))
        if isinstance(standing, Waiting):
            return text, False
        return text + _event("ready", msgspec.json.encode(status)), True


class _Stream(Response):
    """A response that lasts until its visitor's turn or the client's disconnect."""

    def __init__(
        self,
        streams: Streams,
        asked: Request,
        subscription: Subscription,
        proof: Proof,
    ) -> None:
        self.streams = streams
        self.asked = asked
        self.subscription = subscription
        self.proof = proof
        self.background = None

    @override
    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self.streams.send_events(self, send))
            disconnecting = group.create_task(_disconnected(receive))
            await asyncio.wait((sending, disconnecting), return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            disconnecting.cancel()
        if sending.cancelled():
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, text: bytes) -> None:
    await send({"type": "http.response.body", "body": text, "more_body": True})


def _event(name: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode("ascii"), data)
