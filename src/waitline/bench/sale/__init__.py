"""A sale as it is told, and one that really takes place, to hold its simulation against.

play.py       a sale in an installation of its own
agreement.py  what the simulation said of it, and what was measured
words.py      a sale and its figures as people read them
report.py     a page with pictures
"""
