"""Measure a k6 scenario from end to end, and tell what was found.

run.py         an installation of its own, k6, and the folder of what was found
k6.py          find it, ask it what a script offers, run it under the contract's host name
summary.py     what k6 found out
samples.py     a look at the installation each second
scrape.py      the Prometheus text format
series.py      from looks to figures by second, and in all
inspection.py  the audit of every room after the run
verdict.py     did it pass?
report.py      report.html
compare.py     two folders side by side
"""
