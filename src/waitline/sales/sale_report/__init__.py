"""A sale that took place: who came, how long they waited, what was sold. `waitline report sale`.

summary.py  the figures, from the room's record and the box office's account (pure)
meanings.py what each figure counts, and where figures differ that look alike (pure)
page.py     the HTML page
"""
