"""A sale as it is told: simulated, played for real to hold that against, and over.

play.py       a sale in an installation of its own
agreement.py  what the simulation said of it, and what was measured
words.py      a sale and its figures as people read them
report.py     a page with pictures
after.py      a sale that is over, as the stores remember it
after_page.py the same as a page
"""
