"""Benchmarks of Waitline, each a command of `waitline-bench`.

gate.py           what the gate costs, by itself and behind nginx
hot_path.py       requests/s of the hot calls, next to an empty handler and a naive server
versus.py         the hot calls of two checkouts, alternately in one run
hot_calls.py      one measurement of one hot call, at full load or at a fixed rate
paced.py          open-loop load generator: a fixed request rate, whatever the latency
observing.py      `enter` with access log and traces off, sampled, and on
drivers.py        calls to a cluster, by driver, and `enter` on one next to one server
failover.py       the death of a room's primary under load
confirmations.py  the cost of confirmed joins and departures
slow_disk.py      a cgroup with few writes per second
scripts.py        visitors/s of the Lua scripts, memory of the store, time to admit
booking/          the box office: seat map, reservations, payments, overload
generator/        what the load generators share
cpu_quotas.py     a cgroup with a CPU quota for each group of processes
measured_room.py  a room, filled and audited directly in the store
scale_out/        instances and primaries with a CPU quota each, and the largest rush
carry/            capacity of a machine in waiting visitors
scraping.py       time and size of a scrape of the metrics, and what visitors notice
growth/           how the cost of a call grows with the line and the number of rooms
scenario/         k6 scenarios end to end, their reports, and the comparison of two
naive/            baselines of the hot calls
cli/              the commands
booking_audit.py  `waitline audit --booking` of the installation under test
host_steal.py     repeat a measurement during which the host stole CPU time
usage.py          CPU time, memory and open files by role of the processes
"""
