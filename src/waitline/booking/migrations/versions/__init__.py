"""The migration steps as Alembic modules: each names itself and the step before it.

0001_box_office.py             tables of the box office
0002_reserved_seat_by_seat.py  index of reservations by seat
0003_queue_down.py             a concert's choice while the queue is down
0004_holders.py                users as text, holders, random ids, keys with their outcomes
0005_listening.py              listening clock, in which seats are held
0006_money.py                  money that moves elsewhere; payments of the amount 0
0007_first_expiry.py           expiry of a reservation as its maker was answered
0008_sales_times.py            when a schedule sells, and the currency of prices
0009_installation.py           mode of the data, origin of each concert
0010_rules_of_sale.py          stopped schedules, house seats, cool-downs, evidence
0011_seats_and_changes.py      seats by section, row and number; log of changes
0012_concert_limits.py         limits per concert; what operators give away counts for nobody
0013_currency_of_payments.py   currency of payments and of their charges
0014_evidence.py               evidence log of bookings
"""
