"""Servers to compare the hot calls with.

app.py    a naive waiting room: the baseline
empty.py  a handler that does nothing: the upper bound
serve.py  serve one of them as Waitline is served
"""
