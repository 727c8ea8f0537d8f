"""The steps by name, for Alembic.

[0-9]*.py  one file for each step: its name and the step before it
"""
