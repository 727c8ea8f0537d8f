"""The box office: catalogue, seats, reservations and payments.

model.py           reservations, payments and their refusals; pure
catalogue_model.py concerts, schedules, new seats and their refusals; pure
sale_state.py      sale state of a schedule at a moment; pure
currency.py        ISO 4217 currencies, amounts in major and minor units; pure
charging.py        currencies that the payment provider charges; pure
catalogue.py       concerts and schedules
catalogue_edits.py changes concerts and schedules; change log
catalogue_cache.py single-flight cache of concerts and schedules
seat_file.py       CSV as spreadsheets write it: encodings, delimiters, safe cells; pure
seat_plan.py       parses and writes the seat plan of a hall; pure
seat_changes.py    diff of two seat plans; pure
seat_imports.py    imports, edits and removes the seats of a schedule
seat_rows.py       the rows of each section, for seat pickers
restored.py        makes a restored database agree with the line and with browsers
seat_maps.py       the seat map of each schedule in use, kept up to date
seat_snapshot.py   a schedule's seats at one version, and the changes since; pure
seat_documents.py  seat lists, encoded and compressed on demand
best_available.py  chooses the best free seats of a grade
store.py           reservations: reserve, cancel, expire
batches.py         limits of batched statements
own_reservations.py  a visitor's own reservations
sweeper.py         puts lapsed reservations back on sale
cooldown.py        cool-down of holders who repeatedly let seats go
stopping.py        cancelled and postponed schedules, and their refunds
house.py           seats held back from sale, and complimentary tickets
door_list.py       tickets with their codes, for buyers and for the door
checkout.py        payments: charge, confirm
provider_calls.py  calls to the payment provider, timed
payment_flags.py   flags of a payment beside its state; pure
settlement.py      payments: webhooks, reconcile, refund
buyer.py           owner of a reservation; pure
idempotency_key.py idempotency key of a request, and its refusals; pure
idempotency.py     idempotency keys in the database
collisions.py      retry of statements that a unique constraint rejected
outbox.py          transactional outbox: relays events to Valkey
stock.py           counts free seats by room
load_reporter.py   publishes the worker's load and the stock
sale_totals.py     totals and time series of a sale
audit.py           checks the invariants over the whole database
provider_audit.py  reconciles payments with the provider's list of charges
evidence.py        evidence log: audit trail of each booking
unknown_charges.py charges without a payment, and their refunds
attention.py       payments that need an operator's attention
health.py          health check of the database, and counts of open work
schema.py          checks that the tables are those of this version
mode.py            mode of the data, and what leaving trial mode deletes
rehearsals.py      deletes what rehearsals leave behind
demo.py            the demo concert of trial mode
sql/               the statements
migrations/        the tables
"""
