"""HTTP toolkit of both services. It depends on neither of them, and on no store.

protocol.py           one connection: requests in order, deadlines, graceful end
exchange.py           one request and its response: a hot call, or the framework's over ASGI
head.py               parser for request heads
fields.py             parser for header and trailer sections
body.py               readers of request bodies
limits.py             limits of a connection
connections.py        the open connections of a worker, and the sweep of slow ones
contexts.py           what names a request in logs and traces
observer.py           what is recorded of a request: access log and traces
access_log.py         lines of the access log
client_address.py     the client's address behind trusted proxies
cross_origin.py       pages of other origins that may call (CORS)
dispatch.py           routes hot calls ahead of the framework
requests.py           parses query strings, headers and JSON bodies
responses.py          answers, and their encoding for the socket
envelope.py           the contract's envelope of successes
problems.py           problem details (RFC 9457), and the refusals of HTTP itself
problem_responses.py  turns exceptions into problem responses
framework.py          FastAPI for all calls that are not hot
openapi.py            shared parts of the services' OpenAPI documents
health.py             health checks
metric_families.py    metrics with their declarations and values
metric_text.py        the Prometheus text format
metrics_page.py       metrics of all processes of a service, and version information
operator_key.py       authentication of operators
key_proof.py          proof that two processes have the same secret
caching.py            entity tags and content codings
static_files.py       static files, with the API's documentation page
speculation.py        speculative requests of browsers (prefetch, prerender)
assets.py             files of pages below a folder named after their content
page_language.py      language of a page
templates.py          pages from Jinja templates
api_docs/             files of the documentation page
texts.py              texts in Korean and English, and content negotiation
worker.py             one worker process as an ASGI application
draining.py           graceful shutdown: connection draining at SIGTERM
server.py             uvicorn's options and limits, and the start of the workers
"""
