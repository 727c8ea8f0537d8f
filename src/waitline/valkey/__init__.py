"""Client of Valkey or Redis: all traffic to the server goes through this package.

fitness.py     whether the server takes writes, and may lose data
client.py      `ValkeyClient`: scripts by hash, commands, transactions, timeouts
scripts.py     load Lua scripts and parse their headers
address.py     address of a server, parsed from its URL
replies.py     error replies: whose fault each is, and whether to reconnect
connection.py  one pipelined connection; the only importer of hiredis
"""
