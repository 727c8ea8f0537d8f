"""Taking money and giving it back: the provider behind one port.

model.py           what a provider tells (pure)
provider.py        the port: what the box office asks of any provider
signatures.py      how a provider's message is signed and checked (pure)
sandbox.py         the adapter of the sandbox
sandbox_server.py  the sandbox: a provider on this machine that takes no money
habits.py          how the sandbox misbehaves (pure)
ledger.py          what the sandbox has charged
stripe.py          the adapter of Stripe; needs the extra `waitline[stripe]`
"""
