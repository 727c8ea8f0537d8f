"""PostgreSQL: the only package that imports its driver.

pool.py        connection pool; runs statements by name, with timeout and backpressure
statements.py  SQL statements by name, read from a package's sql folder
"""
