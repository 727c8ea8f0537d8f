"""How many waiting visitors a machine carries, polling and listening.

polling.py    everybody polls as told to, while the line moves; the figures
streams.py    event streams that one worker holds while nothing happens
pollers.py    one generator process of visitors who poll: its loop and its sockets
visitors.py   what they ask, and what they make of the answers
listeners.py  one generator process of visitors who listen
crew.py       starts, tells and ends such processes
orders.py     what they hear and say
room.py       a room to measure: filled, opened, counted, audited
answers.py    finds what a visitor needs in an answer's bytes (pure)
histogram.py  times by how long they took (pure)
wheel.py      who is due when (pure)
sockets.py    raw connections
usage.py      processor time and memory by what the processes do
"""
