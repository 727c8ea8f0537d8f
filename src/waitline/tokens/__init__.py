"""Tickets and passes: who is believed to hold a place, and to be admitted.

encoding.py       base64url and compact JSON
keyring.py        keys, their ring, their rotation
keyring_file.py   the ring on disk, watched by every worker
passes.py         signed proof of admission: a JWT
proof.py          what a token proves
tickets.py        proof of holding a place: a keyed MAC
verification.py   verify either of the two
"""
