"""The HTTP APIs, one folder per service.

queue/             the queue service: the waiting line, and operators' calls on rooms
booking/           the booking service: the catalogue, reservations, payments
management.py      the management process of a service
management_keeper.py  starts it and keeps it running
pages/             the start pages, and the layout that pages share
start_page.py      start page of a service: what runs there and where to go
data_mode.py       mode of the data: checked at the start and while a process runs
identity.py        authentication of visitors: tokens, cookies, trial mode
same_origin.py     protection of writes against other sites (CSRF)
process.py         start of a service and of its workers
catalogue_problems.py  the part of that table for changes to the catalogue
problems.py        table of problems: the HTTP response to each refusal
start_lines.py     what a process says at its start, and while a store does not answer
problem_codes.py   their codes and short texts
sale_problems.py   its rows of a sale's rules and of house seats
setting_bodies.py  bodies and views generated from operators' settings
"""
