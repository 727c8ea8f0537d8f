"""Client of Valkey or Redis: all traffic to the server goes through this package.

fitness.py     whether the primaries take writes, and may lose data
client.py      `ValkeyClient`: scripts by hash, commands, transactions, timeouts
scripts.py     load Lua scripts and parse their headers
durability.py  what a write must have reached before it is answered, and how it is confirmed
cluster.py     routing in a cluster: a connection for each primary, redirects, the map of slots
slots.py       hash slots: of a key, of a command, and the map of them; pure
sentinel.py    the primary's current address, from Sentinels
transport.py   diagnosis of a connection that failed: TLS or not
connection.py  a connection to one server: opened on first use, reopened after it broke
following.py   whether an open connection still leads to the primary
pipe.py        one open connection, pipelined; the only importer of hiredis
address.py     addresses of a server, of Sentinels or of a cluster, parsed from one URL
replies.py     error replies: our bug or the server's state, and whether to reconnect
"""
