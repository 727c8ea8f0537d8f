"""The migration steps as Alembic modules: each names itself and the step before it.

0001_box_office.py             tables of the box office
0002_reserved_seat_by_seat.py  index of reservations by seat
0003_queue_down.py             a concert's policy while the queue is down
0004_holders.py                users as text, holders, random ids, keys with their outcomes
0005_listening.py              listening clock, which measures how long seats are held
0006_money.py                  refunds and disputes at the provider; payments of amount 0
0007_first_expiry.py           original expiry of a reservation, for repeats
0008_sales_times.py            sale times of schedules, currency of prices
0009_installation.py           mode of the data, origin of each concert
0010_rules_of_sale.py          stopped schedules, house seats, cool-downs, evidence
0011_seats_and_changes.py      seats by section, row and number; log of changes
0012_concert_limits.py         limits per concert; complimentary tickets do not count
0013_currency_of_payments.py   currency of payments and of their charges
0014_evidence.py               evidence log of bookings
0015_works_from.py             oldest version that the tables serve
"""
