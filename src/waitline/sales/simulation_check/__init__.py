"""Check a simulated sale against a real one: `waitline simulate --check`.

replay.py     replay the sale on an installation of its own, and measure it
agreement.py  compare the prediction with the measurement
"""
