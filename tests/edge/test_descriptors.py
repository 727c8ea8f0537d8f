"""More connections than file descriptors: the worker refuses some, and goes on."""

import socket
import sys
from contextlib import ExitStack, suppress

import psutil

from tests.processes import started
from tests.web.stack import SOON_S, UP_S
from waitline.trial.machine import free_port

FILES, CLIENTS = 128, 300

PROGRAM = f"""
import resource
import sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))
import uvicorn
from tests.edge.server import DEFAULTS, App
from waitline.http.server import PROTOCOL, UVICORN_OPTIONS
options = {{**UVICORN_OPTIONS, "lifespan": "off"}}
uvicorn.run(App(DEFAULTS), http=PROTOCOL, port=int(sys.argv[1]), **options)
"""

REQUEST = b"GET /ok HTTP/1.1\r\nHost: h\r\n\r\n"


def test_it_goes_on_without_descriptors() -> None:
    port = free_port()

    def connected() -> socket.socket:
        wire = socket.create_connection(("127.0.0.1", port), SOON_S)
        wire.settimeout(SOON_S)
        return wire

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    argv = [sys.executable, "-c", PROGRAM, str(port)]
    with started(argv, {"PYTHONPATH": ":".join(sys.path)}, listens, UP_S) as program:
        with ExitStack() as stack:
            first = stack.enter_context(connected())
            first.sendall(REQUEST)
            assert first.recv(4_096).startswith(b"HTTP/1.1 200 ")
            clients = [stack.enter_context(connected()) for _ in range(CLIENTS)]
            answers = []
            for client in clients:
                answer = b""
                with suppress(ConnectionError):
                    client.sendall(REQUEST)
                    answer = client.recv(4_096)
                answers.append(answer[9:12])
            # As many as half of the descriptors; the others are refused, or cut off.
            assert answers.count(b"200") == FILES // 2 - 1
            assert answers.count(b"503") > 0
            assert set(answers) <= {b"200", b"503", b""}
            used = psutil.Process(program.pid).cpu_times().user
            first.sendall(REQUEST)
            assert first.recv(4_096).startswith(b"HTTP/1.1 200 ")
            assert psutil.Process(program.pid).cpu_times().user - used < 0.5
        again = b""
        while not again.startswith(b"HTTP/1.1 200 "):
            with connected() as wire, suppress(ConnectionError):
                wire.sendall(REQUEST)
                again = wire.recv(4_096)
        assert program.alive
