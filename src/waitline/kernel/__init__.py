"""Foundation: modules that every other package may import, and that import none of them.

addresses.py           validation of addresses (URLs) and hosts
backoff.py             exponential backoff of a connection
batching.py            one batcher for calls to a store, with a window policy
circuit_breaker.py     circuit breaker
clock.py               the only clock
collected_metrics.py   metrics that are read from a store: their declarations
documents.py           parser of JSON documents that others made
errors.py              the error tree
escapes.py             escaping of text for terminals, logs and file names
events.py              streams between box office and waiting room: keys and schemas
findings.py            an audit's finding
folders.py             folders named by the operator
garbage_collection.py  cyclic garbage collection on a timer
ids.py                 id types of rooms and visitors, and the grammar of names
includes.py            what Lua scripts and SQL files share, written once
instants.py            point in time with its UTC offset
instruments.py         counters, gauges and histograms in memory, and their snapshot
listeners.py           listening sockets of a host
log_events.py          the list of log events
log_limits.py          rate limiting of the log by kind of event
log_stream.py          standard error that never fails the process that logs
loop_lag.py            event loop lag: delay of timers and of answers
metric_files.py        snapshots of all processes' metrics, in a folder
mode.py                mode of an installation, and who may start in it
periodic.py            supervised loop
plurals.py             plural agreement of English texts
process.py             log configuration and signals of a process
request_context.py     what names a request in logs, events and traces
setting.py             declaration of an operator's setting
single_flight.py       single-flight cache
process_metrics.py     metrics of this process, and their snapshots
telemetry.py           metrics of processes: their declarations
terminal.py            output on a terminal
tracing.py             traces, sent to a collector
utilisation.py         utilisation of the event loop's thread
"""
