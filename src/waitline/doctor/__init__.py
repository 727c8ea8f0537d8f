"""Checks of an installation before a sale, from inside and from outside. They change nothing.

checks.py           the result of a check, and how checks are run
machine.py          this machine: open files, keys, secrets, HTTPS
stores.py           Valkey and PostgreSQL: settings, data, clocks, connections
public_endpoints.py services as clients reach them: certificate, readiness, keys, caches, proxies
instance_keys.py    operator key and site key of an instance, compared with this machine's
web.py              HTTP requests of these checks
"""
