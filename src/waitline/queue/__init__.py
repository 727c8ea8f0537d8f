"""Waiting-room queue on Valkey: the line of each room, its rules, and the states of its visitors.

settings.py    room settings, each declared once (pure)
limits.py      the numbers among them (pure)
relations.py   constraints between room settings, and defaults derived from others (pure)
model.py       visitor states, room survey, outcomes and refusals (pure)
decision.py    admission decision of a room, derived from its shop's reports (pure)
walk_ins.py    visitors admitted without a line
claims.py      claims of stays by browsers
slides.py      stays that slide forward while their visitors are active
departed.py    places left before their passes ended
hints.py       poll interval, and estimate of the wait (pure)
record.py      sale record: histogram of waits, totals by time (pure)
keys.py        Valkey key schema
lua/           the atomic operations, one script per verb; include/ has shared code
store.py       visitor commands: one typed method per script, for a batch of visitors
addresses.py   counts and limits of client addresses
room_log.py    audit trail of operators' changes of a room: its entries (pure)
openings.py    timer queue of rooms that open or close by the clock, for the log
rooms.py       operator commands, lists of awake and occupied rooms, and decisions
batches.py     batching configuration: limits per script call, and the batch window
feed.py        publish-subscribe feed of event streams: one poller per worker
listening.py   heartbeat of the workers, from which rooms derive their listening clock
admitters.py   membership of the admitters, and the leases of rooms
mode.py        mode of the data, and what leaving trial mode deletes
rehearsals.py  clean-up after rehearsals
audit.py       snapshot of a room and invariant checks
"""
