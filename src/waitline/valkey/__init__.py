"""Driver of Valkey or Redis: everything that is sent to the server goes through here.

client.py      `ValkeyClient`: scripts by hash, commands, transactions, timeouts
scripts.py     load Lua scripts and parse their headers
connection.py  one pipelined connection; the only importer of hiredis
"""
