"""The booking service over HTTP: catalogue, reservations, payments, operators' calls.

process.py          starts the service and its workers
app.py              wires one worker
calls.py            handlers of the contract's calls, but for the catalogue
catalogue_calls.py  handlers of the public catalogue, encoded once per change
bodies.py           bodies and views of the calls
answers.py          answers of successful writes, and of their repeats
users.py            users on the wire: text, or a number
handover.py         exchange of the pass in an address for a cookie
session_cookie.py   that cookie
shop_pages.py       routes of the buyers' pages
shop_texts.py       texts of their script
pages/              their templates, scripts and styles
tokens.py           the queue token of a request
ownership.py        owners of reservations and payments
doorman.py          access check: only admitted visitors
idempotency.py      idempotency keys: a repeated write gets the first answer
operator.py         operators' calls: installation, payments, reservations
operator_catalogue.py  operators' calls: concerts, schedules, seats, log of changes
operator_bodies.py  their bodies and views
operator_sale.py    operators' calls: stopped schedules, house seats
operator_sale_bodies.py  their bodies and views
door_files.py       door lists as files: CSV and HTML
evidence_bodies.py  view of a booking's evidence log
lookups.py          bulkhead for look-ups by unauthenticated requests
event_relay.py      relay of the outbox's events
metrics.py          gauges of open work
management.py       the management process
openapi.py          the service's OpenAPI document
texts.py            messages of successes
"""
