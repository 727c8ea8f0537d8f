"""Payment providers: charges and refunds through one port, each once per idempotency key.

port.py      the port that every adapter implements
model.py     outcomes of a charge, webhook events (pure)
registry.py  registry of the adapters; how to add one
rest.py      JSON client of a provider's HTTP API
sandbox/     a local provider that takes no money, and its adapter
no_provider.py  for events at price 0
toss.py      adapter for Toss Payments
stripe.py    adapter for Stripe: the extra `waitline[stripe]`
stripe_events.py  webhooks of Stripe (pure)
stripe_units.py  currencies and amounts as Stripe counts them (pure)
"""
