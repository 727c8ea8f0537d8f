"""k6 scenarios end to end: run one, judge it, report it, compare two.

run.py          one run: an installation of its own, k6, sampling, audit
offer.py        the load that a k6 script offers
k6.py           find k6, inspect a script, run it under the contract's host name
summary.py      parse k6's summary
samples.py      sample the installation each second
scrape.py       the Prometheus text format
series.py       samples as time series and totals
inspection.py   audit of every room after the run
drift.py        growth of memory and open files (pure)
verdict.py      pass or fail, with reasons (pure)
result_text.py  titles and figures of a result as text (pure)
report.py       the HTML report
compare.py      two results side by side
"""
