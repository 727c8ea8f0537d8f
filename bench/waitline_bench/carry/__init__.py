"""Capacity benchmark: waiting visitors per machine, by polling or event streams.

polling.py    one run: all visitors poll at the recommended intervals while the line moves
streams.py    one run: idle event streams of one worker
pollers.py    generator process of visitors who poll: the event loop and its sockets
visitors.py   state machine of the visitors (pure)
listeners.py  generator process of visitors with an event stream
crew.py       start, command and stop generator processes
orders.py     protocol between the command and a generator process
room.py       the room of a measurement: fill, open, count, audit
answers.py    extract fields from the bytes of an answer (pure)
wheel.py      timing wheel of the visitors' next requests (pure)
sockets.py    connections as bare file descriptors
"""
