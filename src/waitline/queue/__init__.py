"""The line: who waits, in what order, and what a visitor may do next.

settings.py what an operator decides about a room, each setting declared once (pure)
model.py    a visitor's states, outcomes and refusals (pure)
decision.py how a room admits for now, where its shop reports (pure)
policy.py   when to poll again, how long the wait may be (pure)
keys.py     every Valkey key: its name, type and content
lua/        the atomic steps, one file per verb
store.py    the visitors' verbs: one typed method per script, for a batch of visitors
rooms.py    the operators' verbs: create, change, list, survey, reset, delete; and what was decided
batches.py  what bounds the batches of script calls
feed.py     one reader for all the streams of a worker
audit.py    reads a whole room and checks the invariants
"""
