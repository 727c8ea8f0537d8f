"""A sale in virtual time: who comes when, who is let in when, and how often everybody asks.

The real policy decides (`admission/policy.py`, `queue/hints.py`, the limits of `queue/model.py`);
`gate.py` stands in for the two scripts that enforce it, and counts where they move visitors. Time
and seed are arguments: the same seed gives the same sale.

What it leaves out: the way to the store and back, a store that does not answer, visitors who give
up or come twice, and passing over (all who wait here keep polling, no-shows too). Who hears too
late of being admitted goes. All but model.py, notation.py and gate.py calculate with numpy, which
belongs to the `bench` extra.

model.py     what a sale is, and what became of it
notation.py  how a sale is written on a command line
gate.py      who may enter now: the scripts' arithmetic
polling.py   when those who wait ask next, and what that adds up to
sale.py      the events, one after the other
figures.py   what times of joining and admission amount to, simulated or measured
"""
