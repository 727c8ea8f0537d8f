"""Scale-out benchmarks: instances and primaries with a CPU quota each, and the largest rush.

run.py        throughput by the number of instances
primaries.py  throughput of rooms by the number of primaries
rush.py       one rush at a fixed rate, by our own generator
instances.py  start instances of the queue service, with a CPU quota each
load.py       one measurement: a generator process on the instances
clients.py    generator process: the event loop and its sockets
visits.py     state machine of the visits (pure)
"""
