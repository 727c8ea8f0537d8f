"""Start Waitline, and the FastAPI shop with a waiting room in front of it: make example."""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from waitline import settings as chosen

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "connectors" / "python" / "src"))

WAITLINE = [sys.executable, "-m", "waitline"]

# It stands by, and is small enough for `make crowd` to form a line.
ROOM = ["--standby", "on", "--active-max", "20", "--admit-per-second", "2", "--admit-burst", "10"]
TITLES = ["--title", "항구의 밤", "--title-en", "Harbour Nights"]
RULE = ["--path", "/tickets*", "--room", "tickets"]


def main() -> None:
    """Run until Ctrl-C."""
    settings = chosen.load()
    queue_url = f"http://127.0.0.1:{settings.queue_port}"
    # It stops when its standard input ends, so also if this process is killed.
    argv = [*WAITLINE, "up", "--no-box-office", "--until-stdin-ends"]
    print("Starting Waitline …", flush=True)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as queue:  # noqa: S603
        if not answers(queue, f"{queue_url}/actuator/health/readiness"):
            sys.exit(queue.returncode)
        os.environ["WAITLINE_QUEUE_URL"] = queue_url
        os.environ["WAITLINE_SITE_KEY"] = (settings.data_dir / "site.key").read_text("ascii")
        # They read these settings when they are imported.
        import fastapi_site  # noqa: PLC0415
        import uvicorn  # noqa: PLC0415

        import shop  # noqa: PLC0415

        url = f"http://127.0.0.1:{shop.PORT}"
        protect(f"{url}/tickets")
        print(f"\nThe shop is at {url}. In another terminal: make crowd\n", flush=True)
        uvicorn.run(fastapi_site.app, port=shop.PORT, log_level="warning")


def answers(process: "subprocess.Popen[bytes]", url: str) -> bool:
    """Wait until an address answers, and return whether it does; `False` if the process ends."""
    while process.poll() is None:
        try:
            with urlopen(url):  # noqa: S310 - on this machine
                return True
        except URLError:
            time.sleep(0.1)
    return False


def protect(shop_url: str) -> None:
    """Create the room and the rule, unless they are there since an earlier start."""
    if waitline("rooms", "show", "tickets").returncode:
        create("rooms", "create", "tickets", *ROOM, *TITLES, "--shop-url", shop_url)
    if json.loads(waitline("protect", "try", shop_url, "--json").stdout)["rule"] is None:
        create("protect", "add", *RULE)


def create(*words: str) -> None:
    """Run a command, and show it."""
    print(f"$ waitline {shlex.join(words)}", flush=True)
    done = waitline(*words)
    if done.returncode:
        sys.exit(done.stderr)


def waitline(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command."""
    return subprocess.run([*WAITLINE, *words], capture_output=True, check=False, text=True)  # noqa: S603


if __name__ == "__main__":
    main()
