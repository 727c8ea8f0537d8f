"""Admission: how many visitors each room admits, and the process that admits them.

admitter.py        the loop over the rooms; queue/lua/admit.lua enforces the limits
app.py             the admitter process
chunks.py          one chunk of a line: confirmed before the next, and after a failover
controller.py      admission control: once a second, a decision per room from its shop's reports
payment_events.py  consumer group that frees the slots of visitors who have paid
policy.py          the control law, and when a room is next due (pure)
sharing.py         which admitter serves which rooms: rendezvous hashing (pure)
shop_reports.py    the latest load and stock reports of the shops
"""
