"""Measurements of Waitline, each a command of `waitline-bench`.

hot_path.py  requests/s of the hot calls, next to an empty handler and a naive server
paced.py     a load generator with a fixed rate, whatever the answers take
scripts.py   visitors/s of the Lua scripts, memory of the store, time to admit
booking/     the box office: the seat map, reservations, payments, overload
carry/       how many waiting visitors a machine carries
growth/      how the cost of a call grows with the line and the number of rooms
scenario/    a k6 scenario under load from end to end, its report, and two of them compared
naive/       the servers that the hot calls are compared with
cli/         the commands
books.py     the box office audit of the installation that is measured
quiet.py     repeats what was measured while the host took processor time away
usage.py     processor time, memory and open files by role
"""
