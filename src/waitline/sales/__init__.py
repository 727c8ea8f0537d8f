"""Tools for a whole sale: simulate, rehearse, audit and report.

simulation/         a sale in virtual time (pure)
simulation_check/   the same sale replayed on a real installation, and compared
simulation_report/  a simulation for the terminal and as a page: `waitline simulate`
sizing/             what a sale needs, on paper: `waitline size`
rehearsal/          a sale by generated visitors on a running installation: `waitline rehearse`
live_view/          rooms, calls and instances as they are now: `waitline top`
sale_report/        report on a past sale, from the stores: `waitline report sale`
panels.py           panels of a dashboard, from Prometheus: `waitline report panels`
drawing/            the HTML page frame and the plots of all reports
performance_report/ report on results of benchmarks: `waitline report performance`
audit.py            audit of the box office and its agreement with the waiting room
buckets.py          histograms of Prometheus, and their quantiles (pure)
durations.py        format durations for display (pure)
histogram.py        latency histogram that processes can merge (pure)
http_client.py      HTTP client of the load generators
metric_answers.py   answers that metrics are read from, within a limit of size

The benchmarks in bench/ use drawing/, buckets.py, histogram.py and http_client.py too.
"""
