"""The gate: which requests to a site need a pass, and which room guards them.

model.py       protection rules, and what makes them valid; pure
matching.py    which rule matches a request; pure
returns.py     signed return addresses, webhooks of sites, marks of bound passes; pure
site_key.py    the key of protected sites in their calls; pure
store.py       the rules on Valkey
lua/           scripts
"""
