"""Capacity benchmark: waiting visitors per machine, by polling or event streams.

polling.py    one run: all visitors poll at the recommended intervals while the line moves
streams.py    one run: idle event streams of one worker
pollers.py    generator process of visitors who poll: the event loop and its sockets
visitors.py   state machine of the visitors (pure)
listeners.py  generator process of visitors with an event stream
wheel.py      timing wheel of the visitors' next requests (pure)
"""
