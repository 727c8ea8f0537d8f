"""The box office: what is on sale, who holds it, who has bought it.

model.py      seats, reservations, what may be asked and what is refused (pure)
catalogue.py  concerts, schedules, seats put on sale
seat_map.py   reads the seats that are to be put on sale (pure)
seats.py      which seats are free, kept fresh for whoever asks
chart.py      the seats of a schedule and their changes (pure)
documents.py  what is sent of them, encoded and compressed (pure)
stock.py      what is free in each room's halls, counted again where it has changed
reporter.py   tells the waiting rooms of it, and how busy the worker is
best.py       the best seats that are left
store.py      who holds which seats
checkout.py   who pays for them
sweeper.py    puts back what was not paid for
audit.py      does the database keep its promises?
demo.py       something to sell, for trials
sql/          the statements; migrations/ the tables that they work on
"""
