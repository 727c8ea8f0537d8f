"""Benchmark: how many waiting visitors one machine carries, polling or listening.

polling.py    one run: all visitors poll at the served hints while the line moves
streams.py    one run: idle event streams of one worker
pollers.py    generator process of visitors who poll: the event loop and its sockets
visitors.py   the visitors' requests, and their reaction to the answers
listeners.py  generator process of visitors with an event stream
crew.py       start, command and stop generator processes
orders.py     messages between the command and a generator process
room.py       the room of a measurement: fill, open, count, audit
answers.py    fields of an answer, found in its bytes (pure)
wheel.py      timer wheel of the visitors' next requests (pure)
sockets.py    connections as bare file descriptors
"""
