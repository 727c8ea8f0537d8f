"""The queue: who waits in a room, in what order, and what a visitor may do next.

settings.py    what an operator decides about a room, each setting declared once (pure)
model.py       a visitor's states, outcomes and refusals (pure)
decision.py    how a room admits for now, as its shop's reports decide (pure)
hints.py       when to poll again, and how long the wait may be (pure)
record.py      the record of a sale: waits by length, totals by time (pure)
keys.py        every Valkey key: its name, type and content
lua/           the atomic steps, one script per verb; include/ has what they share
store.py       the visitors' verbs: one typed method per script, for a batch of visitors
rooms.py       the operators' verbs, the rooms that are awake or occupied, and decisions
batches.py     limits and window of the batches of script calls
feed.py        one poller for all the event streams of a worker
rehearsals.py  delete the rooms and events of rehearsals
audit.py       take a snapshot of a room and check the invariants
"""
