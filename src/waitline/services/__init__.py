"""The HTTP faces, one folder a process, and what both share.

queue/       the queue service
booking/     the booking service
identity.py  who a visitor is, by ticket or pass
problems.py  what each refusal becomes: status, code, text
pages.py     the static pages; pages/ holds them
"""
