"""A sale that took place: who came, how long they waited, what was sold. `waitline report sale`.

summary.py  the figures, from the room's record and the box office's account (pure)
page.py     the HTML page
"""
