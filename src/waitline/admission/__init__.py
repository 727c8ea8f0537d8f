"""Admission: how soon to come back to a room, and the loop that lets visitors in.

policy.py    when a room is next worth a visit (pure)
admitter.py  the loop; what it may do is decided in queue/lua/admit.lua
"""
