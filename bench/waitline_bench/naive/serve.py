"""Run a server of this folder under Waitline's server settings: `serve.py MODULE PORT`."""

import sys

import uvicorn

from waitline.http.server import UVICORN_OPTIONS

if __name__ == "__main__":
    uvicorn.run(
        f"waitline_bench.naive.{sys.argv[1]}:app",
        port=int(sys.argv[2]),
        http="httptools",
        **UVICORN_OPTIONS,
    )
