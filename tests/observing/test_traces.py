"""Traces: one from the page's call over queue, box office and payment provider."""

import secrets

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.booking_web.office import Office
from tests.observing.collector import Collector, ReceivedSpan
from tests.observing.lines import named
from tests.until import until

SOON_S = 20.0

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3"


def traceparent(trace_id: str, *, sampled: bool = True) -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-0{int(sampled)}"}


def parents(spans: list[ReceivedSpan]) -> dict[tuple[str, str], tuple[str, str] | None]:
    """Return the parent of each span, both by service and name."""
    by_id = {span.span_id: (span.service, span.name) for span in spans}
    return {(span.service, span.name): by_id.get(span.parent_id) for span in spans}


def test_one_trace_leads_from_the_page_over_both_services_to_the_provider(
    observed: Office, collector: Collector
) -> None:
    trace_id = secrets.token_hex(16)
    caller = traceparent(trace_id)
    show = observed.show(1)
    buyer = show.waiting()
    entered = observed.queue.client.post(
        "/api/v1/queue/enter",
        json={"concertId": show.room, "userId": observed.user()},
        headers=caller,
    )
    assert entered.status_code == 201
    buyer.wait()
    number = buyer.reserve(show.seats[0], **caller).json()["data"]["reservationId"]
    paid = buyer.pay(number, {**caller, "X-Request-Id": "of-the-trace"})
    assert paid.status_code == 201
    wanted = {
        ("queue", "POST /api/v1/queue/enter"): None,
        ("booking", "POST /api/v1/reservations"): None,
        ("booking", "queue: validate"): ("booking", "POST /api/v1/reservations"),
        ("queue", "POST /api/v1/queue/validate"): ("booking", "queue: validate"),
        ("booking", "POST /api/v1/payments"): None,
        ("booking", "payment provider: charge"): ("booking", "POST /api/v1/payments"),
    }
    until(
        lambda: parents(collector.of_trace(trace_id)).items() >= wanted.items(),
        SOON_S,
        "all spans have come",
    )
    spans = collector.of_trace(trace_id)
    from_caller = [span for span in spans if span.parent_id == caller["traceparent"].split("-")[2]]
    assert len(from_caller) == 3
    (payment,) = [span for span in spans if span.name == "POST /api/v1/payments"]
    assert payment.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/v1/payments",
        "http.response.status_code": "201",
        "request_id": "of-the-trace",
    }
    assert not any(span.failed for span in spans)
    assert named(observed, "request_answered", trace_id=trace_id)
    shows_exemplar(observed, trace_id, "http_server_requests_seconds")
    shows_exemplar(observed, trace_id, "payment_provider_duration_seconds")


def shows_exemplar(office: Office, trace_id: str, histogram: str) -> None:
    """Check that a bucket of the histogram has an exemplar of the trace."""

    def exemplars() -> set[str]:
        url = f"{office.program.management_urls[1]}/actuator/prometheus"
        response = office.get(url, Accept=OPENMETRICS)
        assert response.headers["content-type"].startswith("application/openmetrics-text")
        return {
            sample.exemplar.labels["trace_id"]
            for family in text_string_to_metric_families(response.text)  # type: ignore[no-untyped-call]
            if family.name == histogram
            for sample in family.samples
            if sample.exemplar
        }

    until(lambda: trace_id in exemplars(), SOON_S, f"{histogram} shows it")


def test_the_text_format_has_no_exemplars(observed: Office) -> None:
    response = observed.get(f"{observed.program.management_urls[1]}/actuator/prometheus")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "trace_id" not in response.text


def test_a_trace_that_its_caller_does_not_record_is_not_recorded(
    observed: Office, collector: Collector
) -> None:
    """The share is 0 there: only traces of trusted proxies are recorded, on their decision."""
    left_out, malformed, last = (secrets.token_hex(16) for _ in range(3))
    observed.get("/api/v1/concerts", **traceparent(left_out, sampled=False))
    observed.get("/api/v1/concerts", traceparent=f"00-{malformed}-0-01")
    observed.get("/api/v1/concerts", **traceparent(last))
    until(lambda: bool(collector.of_trace(last)), SOON_S, "the last one has come")
    assert not collector.of_trace(left_out)
    assert not collector.of_trace(malformed)
