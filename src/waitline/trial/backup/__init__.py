"""Back-up and restore of an installation of `waitline up`, to a point in time (decision 0045).

A back-up is a folder with a copy of each store and all that the store has logged since. Restoring
plays both logs up to the end of the same second.

folder.py         back-up folders: their description, and the choice of one for a point in time
line_copy.py      the line: copies Valkey's append-only file while it grows
database_copy.py  the box office: PostgreSQL's own base back-up and stream of its log
taking.py         takes a back-up until stopped
restoring.py      restores one into an empty data folder
"""
