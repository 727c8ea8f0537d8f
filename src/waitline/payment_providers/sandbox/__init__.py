"""Sandbox: a payment provider for trials and tests, in a process of its own.

adapter.py     its adapter
behaviour.py   latency and injected faults (pure)
ledger.py      charges by idempotency key, in SQLite
server.py      its HTTP API and webhooks
signatures.py  HMAC signatures of webhooks (pure)
"""
