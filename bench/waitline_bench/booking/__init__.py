"""Benchmark of the box office.

run.py     one run: seat map, reservations, payments, overload
hall.py    admitted visitors, each with a seat of its own
buyers.py  load generator process: what these visitors do
stored.py  bytes that bookings take
bare.py    the same SQL statements by pgbench, as the upper bound
"""
