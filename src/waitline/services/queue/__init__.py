"""The queue service over HTTP: what visitors and operators of rooms call.

process.py       starts the service and its workers
app.py           puts one worker together
calls.py         the visitors' hot calls
now_serving.py   one cached document a room, the same for everyone
streams.py       server-sent events
rooms.py         the operators' calls
metrics.py       the rooms' metrics
openapi.py       the service's OpenAPI document
texts.py         messages of successes
waiting_page.py  the routes of the pages
pages/           their files
"""
