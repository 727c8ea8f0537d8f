"""The core of proxies that run Lua agrees with the vectors, in Debian's Lua."""

import hashlib
import hmac
import json
import re
import shutil
import subprocess
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from tests.servers import IN_CI

CONNECTORS = Path(__file__).parents[2] / "connectors"
LUA = shutil.which("lua5.1") or shutil.which("lua")


@pytest.mark.skipif(LUA is None and not IN_CI, reason="Lua is missing: apt-get install lua5.1")
def test_lua_agrees_with_the_vectors(tmp_path: Path) -> None:
    assert LUA is not None
    vectors = json.loads((CONNECTORS / "vectors.json").read_text("utf-8"))
    lines = []
    for row in vectors["returns"]["good"]:
        message = row["signed"].partition(".")[0]
        mac = hmac.new(vectors["siteKey"].encode(), message.encode(), hashlib.sha256).digest()
        assert row["signed"].endswith("." + urlsafe_b64encode(mac).rstrip(b"=").decode())
        lines.append(f"{message} {mac.hex()}\n")
    macs = tmp_path / "macs"
    macs.write_text("".join(lines), "ascii")
    script = CONNECTORS / "lua" / "vectors_test.lua"
    done = subprocess.run(  # noqa: S603 - our own test
        [LUA, script, CONNECTORS / "vectors.json", macs],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    checks = re.fullmatch(r"(\d+) checks, 0 failures\n", done.stdout)
    assert checks is not None, done.stdout
    assert int(checks[1]) > 100
