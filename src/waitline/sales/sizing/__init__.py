"""What a sale needs, on paper: instances, shards, database, CDN requests and money.

costs.toml   measured costs with their sources, and measurements to agree with
prices.toml  list prices of a cloud provider, with date and source
figures.py   costs and prices, read from these files
model.py     the formulas (pure)
loads.py     the load of a simulated sale, with and without a CDN (pure)
text.py      rows of the tables that people read (pure)

The load is the simulation's: `waitline simulate` for the same sale.
"""
