"""What the load generators share: processes, their protocol, sockets, and reading answers.

crew.py     start, command and stop generator processes
orders.py   protocol between the command and a generator process
loop.py     put answers together from parts, and receive orders
sockets.py  connections as bare file descriptors
answers.py  extract fields from the bytes of an answer (pure)
"""
