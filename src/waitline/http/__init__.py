"""The HTTP face: one module per capability, one table of problems.

app.py       puts a worker together: store, batchers, keys, routes
asgi.py      reads requests, writes answers, and dispatches the hot calls before the framework
queue.py     the visitors' hot calls
board.py     now-serving: one cached document for everyone
streams.py   event streams
rooms.py     the operators' calls
health.py    health, metrics and information
pages.py     what a browser shows
problems.py  what each refusal becomes
texts.py     every sentence that is sent, in Korean and English
openapi.py   one description of all calls
"""
