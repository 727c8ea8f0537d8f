"""The queue service over HTTP: calls of visitors and of rooms' operators.

process.py       starts the service and its workers
app.py           wires one worker
calls.py         handlers of the visitors' hot calls
minting.py       tokens of visitors
address_watch.py counts and limits of client addresses
batchers.py      one batcher per verb
views.py         bodies and answers of the hot calls
now_serving.py   one cached document per room, the same for everyone
statements.py    statements of shops, and the key sets that verify them
streams.py       server-sent events
rooms.py         operators' calls on rooms
gate.py          the gate: whether a request of a site passes
gate_answers.py  its answers
gate_browsers.py browsers that passes are bound to
gate_state.py    rules and departed places, as a worker knows them
site_requests.py parser for the request of a site
site_visits.py   visitors of protected sites
site_calls.py    calls of protected sites
protection.py    rules of the gate: operators set them, sites fetch them
client_view.py   operators' call that shows the client address of a request
metrics.py       the rooms' metrics
standstill.py    how long a room has admitted nobody, though it should
store_metrics.py metrics of Valkey
management.py    the management process
openapi.py       the service's OpenAPI document
texts.py         messages of successes
demo_link.py     short address of the trial's waiting room
waiting_page.py  routes of the pages
plain_page.py    waiting page without scripts
pages/           files of the pages
"""
