"""The booking service over HTTP: what is on sale, reservations, payments, operators.

process.py      starts the service and its workers
app.py          puts one worker together
calls.py        every call of the contract
bodies.py       what the calls take and answer
doorman.py      whether the waiting room has let a visitor in
idempotency.py  the same answer to a write that is repeated
operator.py     what is on sale, as its operators decide
metrics.py      the backlog of events as metrics
openapi.py      the service's OpenAPI document
texts.py        messages of successes
"""
