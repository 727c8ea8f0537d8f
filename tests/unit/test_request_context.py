"""Request contexts: an id when it is used, steps of a trace, what is passed on."""

import asyncio
import re

import pytest
from typing_extensions import override

from waitline.http.client_address import ClientAddresses
from waitline.http.contexts import RequestContexts
from waitline.http.requests import Request
from waitline.kernel import request_context
from waitline.kernel.request_context import CURRENT, RecordedSpan, RequestContext, outgoing, step


class Recorded(RecordedSpan):
    """A span that records what becomes of it."""

    trace_id = "a" * 32

    def __init__(self, name: str, story: list[str]) -> None:
        self.name = name
        self.story = story
        story.append(f"begin {name}")

    @property
    @override
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.name}-01"

    @override
    def child(self, name: str) -> "Recorded":
        return Recorded(name, self.story)

    @override
    def fail(self, reason: str) -> None:
        self.story.append(f"fail {self.name}: {reason}")

    @override
    def end(self) -> None:
        self.story.append(f"end {self.name}")

    @override
    def answered(self, method: str, route: str, status: int, request_id: str) -> None:
        raise AssertionError("only the observer calls it")


def of(peer: str, **headers: str) -> tuple[RequestContexts, Request]:
    contexts = RequestContexts(ClientAddresses("10.0.0.0/8,unix"))
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return contexts, Request("/", b"", given, peer=peer)


@pytest.mark.parametrize(
    ("peer", "taken"), [("10.1.2.3", True), ("", True), ("192.0.2.1", False), ("11.0.0.1", False)]
)
def test_only_trusted_proxies_name_requests(peer: str, *, taken: bool) -> None:
    contexts, request = of(peer, x_request_id="of-the-caller")
    assert (contexts.of(request).id == "of-the-caller") == taken
    # Who sends one gets one.
    assert contexts.field(request) == f"x-request-id: {contexts.of(request).id}\r\n".encode()


def test_an_id_is_made_once_and_answered_once_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    contexts, request = of("10.1.2.3")
    with monkeypatch.context() as nothing:
        nothing.setattr(request_context, "secrets", None)
        assert contexts.field(request) == b""
        assert request.context is None
        assert contexts.of(request).known_id is None
    made = contexts.of(request).id
    assert re.fullmatch("[0-9a-f]{16}", made)
    assert contexts.of(request).id == made == contexts.of(request).known_id
    assert contexts.field(request) == f"x-request-id: {made}\r\n".encode()


def test_a_step_is_a_span_and_what_is_sent_in_it_has_it_as_parent() -> None:
    story: list[str] = []
    context = RequestContext(b"an-id")
    context.span = Recorded("request", story)

    async def work() -> None:
        CURRENT.set(context)
        with step("outer"):
            assert outgoing()["traceparent"] == f"00-{'a' * 32}-outer-01"
            with pytest.raises(ValueError, match="a name"), step("inner"):
                raise ValueError("a name")
        assert outgoing() == {
            "X-Request-Id": "an-id",
            "traceparent": f"00-{'a' * 32}-request-01",
        }

    asyncio.run(work())
    assert story == [
        "begin request", "begin outer", "begin inner", "fail inner: ValueError", "end inner",
        "end outer",
    ]  # fmt: skip


def test_a_decision_against_a_trace_is_passed_on() -> None:
    async def work() -> str:
        context = RequestContext()
        context.unrecorded = True
        CURRENT.set(context)
        with step("nothing"):
            return outgoing()["traceparent"]

    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", asyncio.run(work()))


def test_background_jobs_pass_nothing_on() -> None:
    with step("nothing"):
        assert outgoing() == {}
