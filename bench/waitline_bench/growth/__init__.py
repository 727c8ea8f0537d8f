"""How the cost of a call grows with the line and with the number of rooms.

costs.py         figures by size, and whether they grow faster than a logarithm (pure)
cases.py         which sizes, and how much is done for one figure
installation.py  a store, a worker and an admitter, each to be asked for its processor time
lines.py         who waits where, while some are admitted
callers.py       requests over connections that stay, so many and no more
measure.py       what is measured
plot.py          the picture of it

Processor time counts, not the time on the wall: machines are shared.
"""
