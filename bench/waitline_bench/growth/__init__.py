"""Benchmark: how the cost of a call grows with the line and with the number of rooms.

Cost is CPU time, not elapsed time: machines are shared.

run.py           one run over all sizes
cases.py         the sizes, and the number of requests per figure
costs.py         figures by size, and whether they grow faster than a logarithm (pure)
installation.py  a store, a worker and an admitter, and the CPU time of each
lines.py         which visitor waits where, while some are admitted
burst_client.py  load generator: bursts of requests over open connections
plot.py          plot of the result
"""
