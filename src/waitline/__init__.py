"""Waitline: a virtual waiting room and the box office behind it."""

__version__ = "0.1.0"
