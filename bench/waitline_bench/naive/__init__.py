"""Servers to compare the hot calls with.

app.py    a waiting room as most people would write it first
empty.py  a handler that does nothing: the upper bound
serve.py  serve one of them as Waitline is served
"""
