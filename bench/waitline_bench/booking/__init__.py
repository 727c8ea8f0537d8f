"""How fast the box office is.

measure.py  the seat map, reserving, paying, too many at once: one run
hall.py     buyers who have been let in, each with a seat to itself
buyers.py   a process that does what they do
bare.py     the same statements without us, by pgbench
"""
