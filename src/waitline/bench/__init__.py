"""What measures Waitline on the machine that it is called on.

machine.py   which machine, which cores, how much processor time
hot_path.py  requests/s of the calls, next to an empty handler and a naive server
scripts.py   visitors/s of the scripts, memory of the store, time to admit
carry/       how many waiting visitors a machine carries
growth/      how the cost of a call grows with the line and the rooms
scenario/    a sale under load by k6, from end to end, and two of them compared
sale/        a sale that takes place, and how near its simulation is
page.py      the frame of a report, with page.css
plots.py     drawings, as SVG
"""
