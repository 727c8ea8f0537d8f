"""Tickets and passes: signed tokens that prove a place in the line, or admission.

door.py           codes of tickets for the door, and signed door lists
encoding.py       base64url and compact JSON
keyring.py        signing keys and their rotation
keyring_file.py   the keyring on disk, watched by every worker
marks.py          digests of visitors' keys, stored beside their places
passes.py         proof of admission: a JWT
proof.py          result of a verification
shop_keys.py      public keys of shops
statements.py     statements: the shop vouches for a visitor's account, by a JWT
tickets.py        proof of a place: a keyed MAC
verification.py   verification of tickets and passes
"""
