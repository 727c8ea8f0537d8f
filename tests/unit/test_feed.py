"""The limit of event streams: counted while they are opened, and given back when that fails."""

import gc
import weakref

import pytest

from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue.feed import Feed, TooManySubscriptions
from waitline.queue.model import Unknown

MOST = 3


@pytest.fixture
def feed() -> Feed:
    async def mode_of(_room: RoomId) -> None:
        return None

    return Feed(None, mode_of, MOST)  # type: ignore[arg-type]  # nothing is polled here


def test_streams_that_are_being_opened_count(feed: Feed) -> None:
    with (
        feed.opening(),
        feed.opening(),
        feed.opening(),
        pytest.raises(TooManySubscriptions),
        feed.opening(),
    ):
        pass
    with feed.opening():
        assert feed.size == 0


def test_a_stream_that_is_refused_gives_its_count_back(feed: Feed) -> None:
    for _ in range(2 * MOST):
        with pytest.raises(KeyError), feed.opening():
            raise KeyError
    held = []
    for number in range(MOST):
        with feed.opening():
            held.append(feed.subscribe(RoomId("r"), (VisitorId(str(number)), 0), Unknown()))
    with pytest.raises(TooManySubscriptions), feed.opening():
        pass
    feed.unsubscribe(held[0])
    feed.unsubscribe(held[0])
    with feed.opening():
        assert feed.size == MOST - 1


def test_a_stream_that_is_never_sent_gives_its_count_back(feed: Feed) -> None:
    class Response:
        pass

    response = Response()
    subscription = feed.subscribe(RoomId("r"), (VisitorId("v"), 0), Unknown())
    weakref.finalize(response, feed.unsubscribe, subscription)
    assert feed.size == 1
    del response
    gc.collect()
    assert feed.size == 0
