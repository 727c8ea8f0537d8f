"""Payment providers: charges and refunds through one port, each once per idempotency key.

port.py      the port that every adapter keeps
model.py     outcomes of a charge, webhook events (pure)
registry.py  the providers to choose from; how to add one
sandbox/     a provider on this machine that takes no money, and its adapter
stripe.py    the adapter of Stripe: the extra `waitline[stripe]`
"""
