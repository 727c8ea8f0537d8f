"""Admission: how many visitors a room lets in, and the process that does it.

admitter.py        the loop over the rooms; queue/lua/admit.lua enforces the limits
app.py             the admitter's process
controller.py      decides for each room, once a second, from what its shop reports
payment_events.py  frees the slots of visitors who have paid
policy.py          the decision itself, and when a room is next due (pure)
shop_reports.py    the last load and stock reports of the shops
"""
