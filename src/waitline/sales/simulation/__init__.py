"""Discrete-event simulation of a sale in virtual time: joins, admissions and polling.

It uses the real policy: `admission/policy.py`, `queue/hints.py` and `queue/limits.py`. `gate.py`
replaces the two Lua scripts that enforce it, and counts visitors instead of moving them. Time and
seed are arguments: the same seed gives the same sale.

Not simulated: latency and failures of Valkey, visitors who give up or join twice, and skipped turns
(every waiting visitor keeps polling, no-shows too). A visitor who learns of its turn too late
leaves. All modules but model.py, notation.py and gate.py need numpy, from the extra `reports`.

model.py     a sale and its prediction (pure)
notation.py  parse the notation of the command line: `5s..30s`, `1000/s*10s` (pure)
gate.py      slots and token bucket: the arithmetic of the Lua scripts (pure)
polling.py   when waiting visitors poll, and the load that results
sale.py      the event loop of the simulation
shards.py    the same sale in a room spread over shards: a design that is not built
figures.py   summarise join and admission times, simulated or measured
"""
