"""Servers to compare with: an empty one, and one as most people would write it."""
