"""PostgreSQL: the only package that imports its driver.

pool.py           connection pool; runs statements by name, with timeout and backpressure
sessions.py       opens connections: settings, checks, poolers such as PgBouncer
hosts.py          the hosts of an address: a primary and its standbys
name_lookups.py   lookups of their names: single flight
driver_errors.py  the driver's exceptions, translated into ours
sqlstates.py      the server's errors: our bug or its state, and whether to reconnect
statements.py     SQL statements by name, read from a package's sql folder
"""
