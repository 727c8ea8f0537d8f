"""Waitline Connect: a waiting room in front of a Python site.

Layout:
    rules.py      protection rules: which room guards a request; pure
    passes.py     verification of passes; pure
    returns.py    signed ways back, and marks that bind a pass to a browser; pure
    pages.py      pages and JSON that a visitor gets instead of the site; pure
    decision.py   what becomes of a request; pure
    client.py     calls to the queue: keep-alive, deadlines, circuit breaker
    source.py     rules, keys and revoked passes, kept fresh in the background
    connector.py  puts these together, for one site
    asgi.py       middleware for Starlette, FastAPI, Litestar
    wsgi.py       middleware for Flask and other WSGI applications
    django.py     middleware and a decorator for Django
    measure.py    `python -m waitline_connect.measure`: the cost per request
"""

from waitline_connect.connector import Connector, SettingsInvalid
from waitline_connect.passes import Pass
from waitline_connect.rules import RulesInvalid

__all__ = ["Connector", "Pass", "RulesInvalid", "SettingsInvalid"]
