"""What every other part may use, and what knows none of them.

batching.py            one batcher for calls to a store, with a window policy
circuit_breaker.py     circuit breaker
clock.py               the only clock
errors.py              the error tree
events.py              the streams between box office and waiting room
findings.py            what audits report
garbage_collection.py  cyclic garbage collection on a timer
ids.py                 names for what would otherwise be `str`
log_events.py          the list of log events
periodic.py            supervised loop
process.py             log and signals of a process
setting.py             declaration of an operator's setting
single_flight.py       single-flight cache
telemetry.py           metrics
utilisation.py         how busy the event loop's thread is
"""
