"""The gate: which requests to a site need a pass, and which room guards them.

model.py       protection rules, their patterns, and the decision; pure
store.py       the rules on Valkey
lua/           scripts
"""
