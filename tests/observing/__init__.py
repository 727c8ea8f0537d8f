"""Logs, request ids, traces: what processes of an installation say about their requests."""
