"""The HTTP toolkit that both services are built with. It knows neither of them, nor a store.

protocol.py           uvicorn's protocol class with a fast path for hot calls
dispatch.py           routes hot calls ahead of the framework
requests.py           reads query strings, headers and JSON bodies
responses.py          an answer, and how it is written to the socket
envelope.py           the frame of every success
problems.py           how refusals are described, and those of HTTP itself
problem_responses.py  exceptions turned into problem responses
framework.py          FastAPI for the calls that need not be fast
openapi.py            the shared part of the services' OpenAPI documents
health.py             health, metrics and information
operator_key.py       authenticates operators
caching.py            entity tags and content codings
static_files.py       pages, and the API's description as a page
api_docs/             the files of that page
texts.py              texts in Korean and English, and the choice between them
worker.py             one worker process as an ASGI application: start, stop
server.py             uvicorn's options and limits, and the start of a service's workers
"""
