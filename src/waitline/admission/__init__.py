"""Admission: how fast, how many more, how soon to come back; and the loop that lets visitors in.

policy.py    what a room may do for now, and when it is next worth a visit (pure)
reports.py   what the shops say
steering.py  decides for rooms, once a second
admitter.py  the loop; what it may do is decided in queue/lua/admit.lua
"""
