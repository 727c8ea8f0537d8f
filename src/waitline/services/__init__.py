"""The HTTP faces of the capabilities, one folder for each service.

queue/       the queue service: visitors wait, operators keep rooms
booking/     the booking service: what is on sale, reservations, payments
identity.py  who a visitor is: tokens, cookies, trial mode
process.py   start of a service and of its workers
problems.py  what each refusal becomes over HTTP
setting_bodies.py  bodies and answers made of the settings that operators choose
"""
