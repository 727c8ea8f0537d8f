"""Report on a past sale: visitors, waits, seats sold. `waitline report sale`.

summary.py  the figures, from the room's record and the box office's totals (pure)
meanings.py definition of each figure, and why similar ones differ (pure)
page.py     the HTML page
"""
