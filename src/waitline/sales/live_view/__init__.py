"""`waitline top`: rooms, calls, instances and the box office as they are now.

sources.py  reads metrics: pages of the services, or Prometheus
samples.py  the text format, and the change between two readings (pure)
figures.py  figures of an interval, which are also the JSON document (pure)
screen.py   figures for a terminal
"""
