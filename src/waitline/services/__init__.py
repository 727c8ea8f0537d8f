"""The HTTP APIs, one folder per service.

queue/             the queue service: the waiting line, and operators' calls on rooms
booking/           the booking service: the catalogue, reservations, payments
management.py      the management process of a service
management_keeper.py  starts it and keeps it running
admitter_address.py  the management address of an admitter that runs by itself
admitter_management.py  its management process
pages/             the start pages, and the layout that pages share
start_page.py      start page of a service
certificates.py    expiry of certificates, for metrics
data_mode.py       mode of the data: checked at the start and while a process runs
key_comparison.py  comparison of keys between instances, for `waitline doctor`
identity.py        authentication of visitors: tokens, cookies, trial mode
same_origin.py     protection of writes against other sites (CSRF)
observing.py       wiring of request ids, access log and traces
process.py         start of a service and of its workers
catalogue_problems.py rows of problems.py for changes to the catalogue
problems.py        table of problems: the HTTP response to each refusal
start_lines.py     log lines of a process at its start, and of outages
problem_codes.py   codes and short texts of problems
room_problems.py   rows of problems.py for operators' calls on rooms
sale_problems.py   rows of problems.py for a sale's rules and house seats
setting_bodies.py  bodies and views generated from operators' settings
"""
